"""When the bridge asks for what it has not got: sent again, or everything said once more."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.device.events import Event, Ignored, ResyncRequested
from bridge.device.outbox import Outbox
from bridge.device.replies import ResyncRequest

RESYNC_INTERVAL_S = 10.0
"""Time between two requests that are followed: a bridge asks once in a minute, and whoever else
may publish there cannot make a device send more than this."""

GAP = "gap"
"""The reason of a request that `missing` answers; for any other, what was answered is lost too."""


class Resync:
    """Requests of the bridge, and what has become of them.

    Args:
        topic: On which they come.
        outbox: What is unanswered, and what was reported.
    """

    def __init__(self, topic: str, outbox: Outbox) -> None:
        self._topic = topic
        self._outbox = outbox
        self._answer_call: int | None = None
        self._quiet_until = float("-inf")

    def requested(self, request: ResyncRequest, now: float) -> list[Event]:
        """Follow a request; returns what the caller has to do."""
        if self._answer_call is not None and self._outbox.waits_for(self._answer_call):
            # The answer is sent until it arrives, and it closes the gaps of this request too.
            return []
        if now < self._quiet_until:
            reason = f"the last was followed less than {RESYNC_INTERVAL_S:g} s ago"
            return [Ignored(self._topic, reason)]
        self._quiet_until = now + RESYNC_INTERVAL_S
        if (
            request.reason == GAP
            and request.missing
            and self._outbox.send_again(request.boot, request.missing, now)
        ):
            return []
        return [ResyncRequested(request.reason)]

    def answer(self, state: Mapping[str, object] | None, now: float, *, seen: int) -> int | None:
        """Report a whole state, or, without one, what this boot has reported.

        Returns:
            The number of the call; None if there is nothing to report.

        Raises:
            ValueError: No bridge takes it.
            OutboxFull: There is no room for it.
            JournalError: The journal cannot be written.
        """
        full = True
        if state is None:
            said = self._outbox.everything()
            if said is None:
                return None
            state, full = said.patch, said.full
        self._answer_call = self._outbox.add(state, now, full=full, seen=seen)
        return self._answer_call
