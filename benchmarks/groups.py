"""Devices that say something once, or twice, and are silent when the broker is killed.

What a busy device publishes anyway hides whether anything was rebuilt; of these devices the bridge
hears nothing any more. Each group goes through two stages, with the snapshot of an older broker
between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from benchmarks.observer import Observer
from benchmarks.updates import APPLICATION, COUNTER


class Group(NamedTuple):
    """What is published to each of its devices in the two stages, as (verb, counter).

    Attributes:
        first: In the first stage.
        second: In the second stage.
        reported: The counter in `reported` at the end; 0: none.
        desired: The same in `desired`; with another one in `reported` there is a delta.
    """

    first: tuple[tuple[str, int], ...]
    second: tuple[tuple[str, int], ...]
    reported: int
    desired: int

    @property
    def exists(self) -> bool:
        """Its twins exist at the end."""
        return bool(self.reported or self.desired)


GROUPS: Final = {
    "untouched": Group((("report", 1),), (), 1, 0),
    "changed": Group((("report", 1),), (("report", 2),), 2, 0),
    "new": Group((), (("report", 1),), 1, 0),
    "outstanding": Group((("report", 1),), (("desire", 2),), 1, 2),
    "obeyed": Group((("desire", 2),), (("report", 2),), 2, 2),
    "deleted": Group((("report", 1), ("desire", 2)), (("delete", 0),), 0, 0),
}

DEVICES_PER_GROUP: Final = 5


def devices(per_group: int = DEVICES_PER_GROUP) -> Iterator[tuple[str, Group]]:
    """Yield all devices with their groups."""
    for name, group in GROUPS.items():
        for index in range(per_group):
            yield f"{name}-{index:04}", group


def messages(prefix: str, stage: int, per_group: int) -> Iterator[tuple[str, bytes]]:
    """Yield topic and payload of everything that a stage (1 or 2) publishes."""
    for device, group in devices(per_group):
        for verb, counter in group.first if stage == 1 else group.second:
            sender = "" if verb == "report" else f"/{APPLICATION}"
            payload = b"" if verb == "delete" else orjson.dumps({COUNTER: counter})
            yield f"{prefix}/{device}/{verb}{sender}", payload


def is_visible(observer: Observer, stage: int, per_group: int) -> bool:
    """Tell whether an observer has seen all that a stage does."""
    for device, group in devices(per_group):
        state = observer.newest.get(device)
        actions = group.first if stage == 1 else group.first + group.second
        wanted = dict(actions)
        if "delete" in wanted or not wanted:
            if state is not None:
                return False
        elif (
            state is None
            or state.sections["reported"].get(COUNTER) != wanted.get("report")
            or state.sections["desired"].get(COUNTER) != wanted.get("desire")
        ):
            return False
    return True


def retained_topics(prefix: str, per_group: int) -> set[str]:
    """Return the topics that are retained for these devices at the end."""
    topics = set()
    for device, group in devices(per_group):
        if group.exists:
            topics.add(f"{prefix}/{device}/state")
        if group.desired and group.desired != group.reported:
            topics.add(f"{prefix}/{device}/delta")
    return topics
