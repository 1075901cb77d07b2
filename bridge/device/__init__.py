"""The library for devices written in Python."""

from bridge.device.events import (
    Answered,
    DeltaCleared,
    DeltaReceived,
    Event,
    GetAnswered,
    GetRefused,
    Ignored,
    OutgoingMessage,
    ReportDeferred,
    ReportRefused,
    StateReceived,
    Twin,
)
from bridge.device.payload import Encoding, JsonObject, JsonValue
from bridge.device.session import DeviceSession

__all__ = [
    "Answered",
    "DeltaCleared",
    "DeltaReceived",
    "DeviceSession",
    "Encoding",
    "Event",
    "GetAnswered",
    "GetRefused",
    "Ignored",
    "JsonObject",
    "JsonValue",
    "OutgoingMessage",
    "ReportDeferred",
    "ReportRefused",
    "StateReceived",
    "Twin",
]
