"""Exit statuses: what a script may rely on."""

from __future__ import annotations

import enum

from bridge.errors import ConfigError, LinkError, NotAnswered, Refused, SyncbridgeError


class ExitStatus(enum.IntEnum):
    """How a command ended."""

    OK = 0
    """Every twin is what its device believes."""
    DIFFERENT = 1
    """A twin differs, something was left unanswered, or something else failed."""
    USAGE = 2
    """The command line or a file is wrong; nothing was tried."""
    UNAVAILABLE = 3
    """No broker, no bridge, or no answer in time; the same command may work later."""
    REFUSED = 4
    """The bridge answered a replayed document with a refusal."""
    INTERRUPTED = 130
    """Ended with Ctrl-C where there was nothing to sum up: 128 + SIGINT."""


_OF_CLASS: tuple[tuple[type[SyncbridgeError], ExitStatus], ...] = (
    (LinkError, ExitStatus.UNAVAILABLE),
    (NotAnswered, ExitStatus.UNAVAILABLE),
    (Refused, ExitStatus.REFUSED),
    (ConfigError, ExitStatus.USAGE),
    (SyncbridgeError, ExitStatus.DIFFERENT),
)


def status_of(error: SyncbridgeError) -> ExitStatus:
    """Return the status with which the program ends after this error."""
    return next(status for kind, status in _OF_CLASS if isinstance(error, kind))
