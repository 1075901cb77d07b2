"""Rate limits: a writer that sends too fast is refused before its messages are decoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from bridge.config import LimitsConfig
from bridge.core.refusal import Refusal
from bridge.core.token_bucket import TokenBuckets
from bridge.link.base import Message
from bridge.wire.outbound import Later

WRITERS_REMEMBERED: Final = 65_536
"""Topics whose rate is remembered: some MB. Beyond it the least recent begins anew."""


class TooFast(NamedTuple):
    """A message over the limit; `notable` at most once a second for each topic."""

    message: Message
    refusal: Refusal
    later: Later
    notable: bool


class Throttle:
    """Sorts messages by whether their writer is within its limit.

    A writer is a topic: it names the device, what is done, and who does it. So a flood of reports
    does not cost a device its presence.
    """

    def __init__(self, limits: LimitsConfig) -> None:
        self._per_s = limits.writer_messages_per_s
        burst = limits.writer_burst_messages
        self._buckets = TokenBuckets(self._per_s, burst, WRITERS_REMEMBERED)
        self._notices = TokenBuckets(1, 1, WRITERS_REMEMBERED)

    def sort(self, messages: Sequence[Message], clock: int) -> tuple[list[Message], list[TooFast]]:
        """Return the messages within the limit, and the others; `clock` in µs."""
        within, too_fast = [], []
        for message in messages:
            wait_us = self._buckets.take(message.topic, clock)
            if not wait_us:
                within.append(message)
                continue
            # Rounded up: what comes again a moment too early is refused again.
            wait_s = math.ceil(wait_us / 1000) / 1000
            refusal = Refusal(
                429,
                "too_fast",
                f"more than {self._per_s:g} messages a second: send again in {wait_s:.3f} s, "
                "or raise limits.writer_messages_per_s",
            )
            notable = not self._notices.take(message.topic, clock)
            later = Later(wait_s, self._per_s)
            too_fast.append(TooFast(message, refusal, later, notable))
        return within, too_fast


def make_throttle(limits: LimitsConfig) -> Throttle | None:
    """Return the throttle, or None where there is no limit."""
    return Throttle(limits) if limits.writer_messages_per_s else None
