"""One line for each new trouble with the connection, and one for its end."""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import LinkError
from bridge.logs import get_logger

REPEAT_INTERVAL_S = 300.0
"""A trouble that goes on is logged again this often; in between it is a debug line."""

_log = get_logger("link")


class FailureLog:
    """Remembers what went wrong last, so that each retry does not say it again.

    Args:
        clock: Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._away_since: float | None = None
        self._shown = ""
        self._shown_at = 0.0
        self._attempts = 0

    def failed(self, error: LinkError, retry_in_s: float) -> None:
        """Log that a connection ended or could not be made, and will be tried again."""
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
        self._attempts += 1
        repeated = error.message == self._shown and now - self._shown_at < REPEAT_INTERVAL_S
        line = _log.debug if repeated else _log.warning
        line(
            "no connection to the broker",
            reason=error.message,
            hint=error.hint,
            retry_in_s=round(retry_in_s, 1),
            attempts=self._attempts,
        )
        if not repeated:
            self._shown = error.message
            self._shown_at = now

    def given_up(self, error: LinkError) -> None:
        """Log that there will be no further attempt."""
        _log.error("the connection is given up", reason=error.message, hint=error.hint)

    def recovered(self) -> float | None:
        """Forget the trouble.

        Returns:
            For how long there was no connection, in seconds; None if nothing had gone wrong.
        """
        since = self._away_since
        self._away_since = None
        self._shown = ""
        self._attempts = 0
        return None if since is None else self._clock() - since
