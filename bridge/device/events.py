"""What a device session hands out: messages to publish, and what has happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bridge.device.payload import JsonObject


class OutgoingMessage(NamedTuple):
    """One publish that is due. `qos` and `retain` as in MQTT 3.1.1, section 3.3.1."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Twin:
    """A device's merged twin, as the bridge knows it.

    Attributes:
        version: Grows with every change.
        reported: What the device last said of itself.
        desired: What applications want of it.
        online: None where the device has never said.
        at: The bridge's time of the version, in µs since the epoch.
        last_seen: The bridge's time of the device's last sign of life, in µs since the epoch; None
            where the bridge does not say.
    """

    version: int
    reported: JsonObject
    desired: JsonObject
    online: bool | None = None
    at: int = 0
    last_seen: int | None = None


@dataclass(frozen=True, slots=True)
class DeltaReceived:
    """What `reported` lacks of `desired`, all of it; newer than every delta before."""

    version: int
    state: JsonObject


@dataclass(frozen=True, slots=True)
class DeltaCleared:
    """`reported` lacks nothing of `desired` (any more)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A report has taken effect, durably, and needs no more care.

    Attributes:
        boot: Of the report; an older one where it was kept over a restart.
        seq: Number of the report in that boot.
        calls: Numbers of the calls of `report()` that it carries; empty for one that was kept
            over a restart.
        version: The twin's version afterwards.
        changed: The twin is different from before.
        duplicate: The bridge had it already.
        superseded: None of it took effect, because what is there stays.
    """

    boot: str
    seq: int
    calls: range
    version: int
    changed: bool = False
    duplicate: bool = False
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class ReportRefused:
    """A report was refused for good; nothing of it took effect and it is not sent again.

    Attributes:
        boot: Of the report.
        seq: Number of the report in that boot.
        calls: Numbers of the calls of `report()` that it carries.
        code: As HTTP's status codes (design section 3).
        error: Short stable name, for programs.
        message: What was wrong and what to do about it.
        patch: What was reported.
    """

    boot: str
    seq: int
    calls: range
    code: int
    error: str
    message: str
    patch: JsonObject


@dataclass(frozen=True, slots=True)
class ReportDeferred:
    """The bridge cannot take reports now (429 or 503): nothing new is sent for a while."""

    boot: str
    seq: int
    code: int
    message: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class BootClosed:
    """The bridge takes nothing of a boot any more (401): its reports have new numbers in another.

    Attributes:
        boot: The boot that was closed, which may be of an earlier process.
        begun: The one that counts from now on.
        reports: How many are sent again.
    """

    boot: str
    begun: str
    reports: int


@dataclass(frozen=True, slots=True)
class ResyncRequested:
    """The bridge asks for everything again: answer with `DeviceSession.answer_resync`.

    Attributes:
        reason: Why, such as `gap`, `session_lost` or `store_restored`; for logs.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class GetAnswered:
    """The device's own twin, as asked for with `DeviceSession.get`."""

    request_id: str
    twin: Twin


@dataclass(frozen=True, slots=True)
class StateReceived:
    """The twin asked for with `DeviceSession.request_state`; None where there is none."""

    request_id: str
    device: str
    name: str
    twin: Twin | None


@dataclass(frozen=True, slots=True)
class GetRefused:
    """A request for a twin was refused."""

    request_id: str
    code: int
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message was not acted upon, and why. For logs, where the caller limits their rate."""

    topic: str
    reason: str


Event: TypeAlias = (
    DeltaReceived
    | DeltaCleared
    | Answered
    | ReportRefused
    | ReportDeferred
    | BootClosed
    | ResyncRequested
    | GetAnswered
    | StateReceived
    | GetRefused
    | Ignored
)
