"""Exit statuses: what a script may rely on."""

from __future__ import annotations

import enum

from bridge.errors import (
    AdminRefused,
    ConfigError,
    LinkError,
    NotAnswered,
    QueryError,
    Refused,
    SyncbridgeError,
)


class ExitStatus(enum.IntEnum):
    """How a command ended. Documented in `docs/command-line.md`, and stable."""

    OK = 0
    """It did what was asked."""
    FAILURE = 1
    """Something else failed; the message says what."""
    USAGE = 2
    """The command line or the configuration is wrong; nothing was tried."""
    UNAVAILABLE = 3
    """No broker, no bridge, or no answer in time; the same command may work later."""
    REFUSED = 4
    """The bridge answered with a refusal (a code from 400 to 499, but 404), or it would."""
    NOT_FOUND = 5
    """There is no such twin, no such field in it, or nothing is known any more of what it was."""
    INTERRUPTED = 130
    """Ended with Ctrl-C, as shells count it: 128 + SIGINT."""


_OF_CLASS: tuple[tuple[type[SyncbridgeError], ExitStatus], ...] = (
    (ConfigError, ExitStatus.USAGE),
    (QueryError, ExitStatus.USAGE),
    (LinkError, ExitStatus.UNAVAILABLE),
    (NotAnswered, ExitStatus.UNAVAILABLE),
    (Refused, ExitStatus.REFUSED),
    (SyncbridgeError, ExitStatus.FAILURE),
)
"""The first that fits counts, so the more special classes stand above."""

_OF_CODE = {
    404: ExitStatus.NOT_FOUND,
    410: ExitStatus.NOT_FOUND,
    503: ExitStatus.UNAVAILABLE,
}
"""Refusals that mean something else to a script than "your request is wrong"."""


def status_of(error: SyncbridgeError) -> ExitStatus:
    """Return the status with which the program ends after this error."""
    code = error.code if isinstance(error, Refused) else None
    if isinstance(error, AdminRefused):
        code = error.status
    if code in _OF_CODE:
        return _OF_CODE[code]
    return next(status for kind, status in _OF_CLASS if isinstance(error, kind))
