"""The stamp of an update: one number that says what is newer (design section 4)."""

from __future__ import annotations

from bridge.core.limits import YEAR_2020


def next_now(clock: int, last_now: int) -> int:
    """Return the twin's `now`: the bridge's clock, but later than the last one used for the twin.

    Args:
        clock: The bridge's clock, in µs since the epoch; it may have been set back.
        last_now: The last `now` used for this twin, in µs.
    """
    return clock if clock > last_now else last_now + 1


def stamp_of(
    now: int,
    *,
    time: int | None,
    seen_is_current: bool,
    newest_met: int,
    floor: int,
    ceiling: int | None,
) -> int:
    """Return the stamp of an update, in µs.

    Args:
        now: The twin's `now`.
        time: The writer's clock, or None.
        seen_is_current: The writer had seen the current version.
        newest_met: The largest stamp of what the writer had seen and overwrites, or 0.
        floor: Stamp of the writer's nearest earlier known message, or 0.
        ceiling: Stamp of its nearest later known message, or None.
    """
    stamp = now
    if not seen_is_current and time is not None and YEAR_2020 <= time <= now:
        stamp = time
    if stamp <= newest_met:
        stamp = newest_met + 1
    if stamp < floor:
        stamp = floor
    if ceiling is not None and stamp > ceiling:
        stamp = ceiling
    return stamp
