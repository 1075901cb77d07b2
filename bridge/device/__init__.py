"""The library for devices written in Python.

`Device` is what most programs need. `DeviceSession` is the same without threads and without a
client library, for programs that have an event loop of their own.
"""

from bridge.device.client import Device
from bridge.device.enrolling import enrol
from bridge.device.events import (
    Answered,
    BootClosed,
    DeltaCleared,
    DeltaReceived,
    Event,
    GetAnswered,
    GetRefused,
    Ignored,
    OutgoingMessage,
    ReportDeferred,
    ReportRefused,
    ResyncRequested,
    StateReceived,
    Twin,
)
from bridge.device.payload import Encoding, JsonObject, JsonValue
from bridge.device.report import Answer, Report
from bridge.device.session import DeviceSession
from bridge.device.tls import make_tls_context

__all__ = [
    "Answer",
    "Answered",
    "BootClosed",
    "DeltaCleared",
    "DeltaReceived",
    "Device",
    "DeviceSession",
    "Encoding",
    "Event",
    "GetAnswered",
    "GetRefused",
    "Ignored",
    "JsonObject",
    "JsonValue",
    "OutgoingMessage",
    "Report",
    "ReportDeferred",
    "ReportRefused",
    "ResyncRequested",
    "StateReceived",
    "Twin",
    "enrol",
    "make_tls_context",
]
