"""New twins: how many may be made, because whoever may publish can invent ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from bridge.config import LimitsConfig
from bridge.core.refusal import Refusal
from bridge.core.topics import TwinKey

MINUTE_US: Final = 60_000_000


class Newcomers:
    """Counts the new twins of the present minute and bounds the names of a device."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._per_minute = limits.new_devices_per_minute
        self._names_per_device = limits.named_twins
        self._minute_began_at = 0
        self._this_minute = 0

    def refuse(
        self, new: Sequence[TwinKey], names: Mapping[str, Collection[str]], clock: int
    ) -> dict[TwinKey, Refusal]:
        """Return those new twins that may not be made now, and why; see also `made`.

        Args:
            new: Twins that the store does not know.
            names: Device -> the names that it has, for every device with a named twin in `new`.
            clock: The bridge's clock, in µs.
        """
        if not 0 <= clock - self._minute_began_at < MINUTE_US:
            self._minute_began_at = clock
            self._this_minute = 0
        refused: dict[TwinKey, Refusal] = {}
        this_minute = self._this_minute
        taken = Counter({device: len(found) for device, found in names.items()})
        for key in new:
            if key.name and taken[key.device] >= self._names_per_device:
                refused[key] = Refusal(
                    413,
                    "too_many_names",
                    f"device {key.device!r} has {self._names_per_device} named twins, which is "
                    "the limit (deleted ones are remembered and count): raise limits.named_twins",
                )
                continue
            if this_minute >= self._per_minute:
                refused[key] = Refusal(
                    429,
                    "too_many_new_devices",
                    f"{self._per_minute} new twins were made in this minute, which is the limit: "
                    "send again later, or raise limits.new_devices_per_minute",
                )
                continue
            this_minute += 1
            taken[key.device] += bool(key.name)
        return refused

    def made(self, twins: int) -> None:
        """Count new twins, once they are committed."""
        self._this_minute += twins
