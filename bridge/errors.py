"""Every error that syncbridge raises, under one root.

SyncbridgeError
├── ConfigError            a setting is unknown or out of its range
├── LinkError              the connection to the broker
│   ├── ConnectRefused     the broker, or the network, said no
│   ├── LinkLost           the connection ended before an answer came
│   ├── PublishRefused     the broker answered a publish with a failure
│   └── PublishWindowFull  more publishes are unanswered than the window holds
├── StoreError             the authoritative store
│   ├── StoreLocked        another process holds it
│   ├── StoreSchemaError   the file is not ours, or newer than this program
│   ├── StoreUnavailable   it cannot be written now; the same commit may work later
│   └── StoreCorrupt       what it holds cannot be read
│       └── TwinCorrupt    one of its twins cannot be read
├── BrokerError            the embedded broker could not be started
├── DeviceError            the device library
│   ├── NotAnswered        no reply came in time
│   ├── Refused            the bridge answered with a refusal
│   ├── NotGenuine         an answer was not made by the bridge that was asked
│   ├── KeyFileError       the file that holds a device's key cannot be used
│   ├── OutboxFull         more is waiting than the outbox may hold
│   └── JournalError       the outbox's file cannot be used
├── HttpError              the HTTP API cannot be served
├── KeyWrappingError       a device's key in the store cannot be unwrapped
├── QueryError             a query is not of the language, too large, or takes too long
└── AdminError             the administration socket
    ├── AdminUnreachable   no bridge answers on it
    └── AdminRefused       the bridge answered that it cannot do it

What a device sends wrongly is not an exception: it is a `bridge.core.refusal.Refusal`, a value.
"""

from __future__ import annotations


class SyncbridgeError(Exception):
    """Root of all errors.

    Attributes:
        message: What was wrong, and where.
        hint: What to do about it; empty where nothing can be said.
        recoverable: True if the same call may succeed later without a change by the user.
    """

    recoverable = False

    def __init__(self, message: str, *, hint: str = "", recoverable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if recoverable is not None:
            self.recoverable = recoverable

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(SyncbridgeError):
    """A setting is unknown or its value is out of range.

    Attributes:
        field: The dotted name of the setting.
        source: Where the value came from: a file's path, a variable's name or a flag.
    """

    def __init__(self, message: str, *, field: str = "", source: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.source = source


class QueryError(SyncbridgeError):
    """A query over twins is not of the language, too large, or takes too long.

    Attributes:
        position: The character of the query where it is wrong, from 1; 0 where there is no such.
    """

    def __init__(self, message: str, *, hint: str = "", position: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.position = position


class LinkError(SyncbridgeError):
    """The connection to the broker."""

    recoverable = True


class ConnectRefused(LinkError):
    """The broker, or the network, refused the connection."""


class LinkLost(LinkError):
    """The connection ended before the broker answered."""


class PublishRefused(LinkError):
    """The broker answered a publish with a failure.

    Attributes:
        topic: The topic of the publish.
        reason: The broker's reason, as MQTT 5 names it.
    """

    def __init__(
        self,
        topic: str,
        reason: str,
        *,
        hint: str = "check the broker's access control list for the bridge's user",
    ) -> None:
        super().__init__(f"the broker refused a publish to {topic!r}: {reason}", hint=hint)
        self.topic = topic
        self.reason = reason


class PublishWindowFull(LinkError):
    """As many publishes are unanswered as the window holds."""


class StoreError(SyncbridgeError):
    """The authoritative store."""


class StoreLocked(StoreError):
    """Another process holds the store."""


class StoreSchemaError(StoreError):
    """The file is not a syncbridge store, or was written by a newer version."""


class StoreUnavailable(StoreError):
    """The store cannot be written or read now; nothing of the call took effect."""

    recoverable = True


class StoreCorrupt(StoreError):
    """What the store holds cannot be read."""


class TwinCorrupt(StoreCorrupt):
    """One twin of the store cannot be read.

    Attributes:
        device: Whose twin it is.
        name: Its name; empty for the unnamed one.
    """

    def __init__(self, device: str, name: str, reason: str) -> None:
        twin = f"{device}/{name}" if name else device
        super().__init__(
            f"twin {twin!r} cannot be read from the store: {reason}",
            hint="run `syncbridge store check`, and restore a backup",
        )
        self.device = device
        self.name = name


class BrokerError(SyncbridgeError):
    """The embedded broker could not be started."""


class DeviceError(SyncbridgeError):
    """The device library."""


class NotAnswered(DeviceError):
    """No reply came in time."""

    recoverable = True


class Refused(DeviceError):
    """The bridge answered with a refusal.

    Attributes:
        code: As HTTP's status codes.
        error: The short name of the refusal, for programs.
    """

    def __init__(self, code: int, error: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"refused with {code} {error}: {message}", hint=hint)
        self.code = code
        self.error = error


class NotGenuine(DeviceError):
    """An answer was not made by the bridge that was asked, or not for this request."""


class KeyFileError(DeviceError):
    """The file that holds a device's key cannot be read or written, or others may use it."""


class OutboxFull(DeviceError):
    """More reports are waiting for their reply than the outbox may hold."""

    recoverable = True


class JournalError(DeviceError):
    """The file that keeps an outbox over a restart cannot be opened or written."""


class HttpError(SyncbridgeError):
    """The HTTP API cannot be served: its address or its certificate cannot be used."""


class KeyWrappingError(SyncbridgeError):
    """A device's key in the store was wrapped with another wrapping key, or was tampered with."""


class AdminError(SyncbridgeError):
    """The administration socket of a running bridge could not be used."""


class AdminUnreachable(AdminError):
    """No bridge answers on the administration socket."""

    recoverable = True


class AdminRefused(AdminError):
    """The bridge answered an administrative request with a problem.

    Attributes:
        status: HTTP's status code.
    """

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, recoverable=status == 503)
        self.status = status
