"""Finds out what a broker does with messages, by trying it."""

from bridge.doctor.examination import Bounds
from bridge.doctor.finding import Finding, Report, Severity
from bridge.doctor.run import examine
from bridge.doctor.target import Login, Target, Transport

__all__ = ["Bounds", "Finding", "Login", "Report", "Severity", "Target", "Transport", "examine"]
