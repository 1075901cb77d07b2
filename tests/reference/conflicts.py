"""Which concurrent writes did not stand: what the conflict log must hold after a message.

An entry is made where

1. a part of the message does not show because of another writer's write, and what is there
   differs;
2. it shows, and replaced, removed or hid a visible value, or revived what a removal had taken,
   which another writer had changed at a version that its own had not seen. Without `seen` nothing
   is known of that.

Contributions to an aggregate contest nothing. What is hidden from above, or hides, is decided by
the stamps alone: there the policy is `latest`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tests.reference.policies import AGGREGATES, CLASSES, Key, Path, Write, winning
from tests.reference.section import NOBODY, Message, ModelSection
from tests.reference.values import same, value_at


class Entry(NamedTuple):
    """One entry of the log; None is a removal."""

    path: Path
    policy: str
    kept: Any
    kept_by: str
    kept_stamp: int
    lost: Any
    lost_by: str
    lost_stamp: int


def as_multiset(entries: Any) -> list[str]:
    """Return a list that is the same for the same entries in any order."""
    return sorted(json.dumps(entry, sort_keys=True) for entry in entries)


class Before(NamedTuple):
    """What a section was before the message."""

    visible: dict[str, Any]
    shown: dict[Path, Any]
    top: dict[Path, Write]
    changed: dict[Path, tuple[int, str]]
    marks: dict[Path, Write]


def _without(patch: dict[str, Any], kept: Collection[Path], path: Path = ()) -> dict[str, Any]:
    """Return the patch without some leaves, and without the objects that held nothing else."""
    rest = {}
    for name, new in patch.items():
        here = (*path, name)
        if isinstance(new, dict) and new:
            inner = _without(new, kept, here)
            if inner:
                rest[name] = inner
        elif here not in kept:
            rest[name] = new
    return rest


class Log:
    """Finds the entries that one message makes."""

    def __init__(
        self,
        section: ModelSection,
        before: Before,
        message: Message,
        kept: dict[Path, Write],
        unnamed: list[Path],
    ) -> None:
        self.section = section
        self.before = before
        self.message = message
        self.key: Key = message.key
        self.entries = list(self._entries(kept, unnamed))

    def _entries(self, kept: dict[Path, Write], unnamed: list[Path]) -> Iterator[Entry]:
        message, before = self.message, self.before
        root = before.top.get(())
        if root is not None and root.key > self.key:
            if message.patch:
                yield from self._loses((), "latest", before.visible or None, root, message.patch)
            return
        after = self.section.visible
        if root is not None and not before.visible and after:
            yield from self._wins((), "latest", after, None)
        for path in unnamed:
            if not self.section.is_shadowed(path, self.key):
                yield from self._unnamed(path)
        for path, by in kept.items():
            current, lost = (value_at(tree, path) for tree in (before.visible, message.patch))
            yield self._lost(path, "first", current, by, lost)
        yield from self._members(_without(message.patch, kept), ())

    def _members(self, patch: dict[str, Any], path: Path) -> Iterator[Entry]:
        for name, new in patch.items():
            here = (*path, name)
            if not isinstance(new, dict):
                yield from self._leaf(here, new)
                continue
            own = self.before.top.get(here)
            policy = self.section.policy_of(here)
            current = value_at(self.before.visible, here)
            if own is not None and own.key > self.key:
                yield from self._loses(here, policy, current, own, new)
                continue
            after = value_at(self.section.visible, here)
            is_other = isinstance(after, dict) or not same(after, current)
            if own is not None and is_other and not isinstance(current, dict):
                yield from self._wins(here, policy, after, current)
            yield from self._members(new, here)

    def _leaf(self, path: Path, new: Any) -> Iterator[Entry]:
        policy = self.section.policy_of(path)
        own = self.before.top.get(path)
        current = value_at(self.before.visible, path)
        is_newest = own is None or own.key < self.key
        if policy in CLASSES:
            yield from self._class_leaf(path, new, policy, is_newest=is_newest)
        elif policy in AGGREGATES:
            if is_newest:
                yield from self._swept(path)
                if new is None:
                    yield from self._set(path, None, policy)
        elif not is_newest:
            yield from self._loses(path, policy, current, own, new)
        else:
            yield from self._swept(path)
            yield from self._set(path, new, policy)

    def _unnamed(self, path: Path) -> Iterator[Entry]:
        policy = self.section.policy_of(path)
        own = self.before.top.get(path)
        if own is None or own.key < self.key:
            yield from self._swept(path)
            yield from self._set(path, None, policy)
        elif policy not in AGGREGATES and policy not in CLASSES:
            current = value_at(self.before.visible, path)
            yield from self._loses(path, policy, current, own, None)

    def _class_leaf(self, path: Path, new: Any, policy: str, *, is_newest: bool) -> Iterator[Entry]:
        section = self.section
        winner = winning(policy, section.writes[path], section.all_above(path), section.device)
        if is_newest:
            yield from self._swept(path)
        if winner is not None and winner.key != self.key:
            yield from self._loses(path, policy, winner.value, winner, new)
        elif is_newest:
            yield from self._set(path, new, policy)
        else:
            old = value_at(self.before.visible, path)
            shown = value_at(section.visible, path)
            # Older than what is there, it was concurrent unless it says otherwise.
            is_known = self.message.seen is not None and not self._is_concurrent(path)
            is_own = self.before.changed[path][1] in (NOBODY, self.key[1])
            if not is_known and not is_own and not same(old, shown):
                yield self._won(path, policy, shown, old)

    def _set(self, path: Path, new: Any, policy: str) -> Iterator[Entry]:
        """A value or a removal is now the newest at its path."""
        old, shown = (value_at(tree, path) for tree in (self.before.visible, self.section.visible))
        below = [
            write
            for at, write in (*self.before.top.items(), *self.before.marks.items())
            if at[: len(path)] == path and write.key > self.key
        ]
        if below:
            if isinstance(shown, dict) or new is not None:
                newest = max(below, key=lambda write: write.key)
                yield from self._loses(path, policy, shown, newest, new)
        elif path in self.before.top and not isinstance(old, dict) and not same(old, shown):
            yield from self._wins(path, policy, shown, old)

    def _swept(self, path: Path) -> Iterator[Entry]:
        """Yield what a value or a removal has hidden below its path."""
        for at, value in self.before.shown.items():
            is_below = len(at) > len(path) and at[: len(path)] == path
            if is_below and self.before.top[at].key < self.key:
                yield from self._wins(at, "latest", None, value)

    def _is_concurrent(self, path: Path) -> bool:
        version, writer = self.before.changed[path]
        seen = self.message.seen
        return seen is not None and version > seen and writer not in (NOBODY, self.key[1])

    def _wins(self, path: Path, policy: str, kept: Any, lost: Any) -> Iterator[Entry]:
        if self._is_concurrent(path):
            yield self._won(path, policy, kept, lost)

    def _won(self, path: Path, policy: str, kept: Any, lost: Any) -> Entry:
        stamp, writer = self.key[:2]
        lost_by = self.before.changed[path][1]
        lost_stamp = self.before.top[path].key[0]
        return Entry(path, policy, kept, writer, stamp, lost, lost_by, lost_stamp)

    def _loses(
        self, path: Path, policy: str, kept: Any, by: Write | None, lost: Any
    ) -> Iterator[Entry]:
        wants_object = isinstance(lost, dict) and not lost
        is_there = isinstance(kept, dict) if wants_object else same(kept, lost)
        if by is not None and by.key[1] != self.key[1] and not is_there:
            yield self._lost(path, policy, kept, by, lost)

    def _lost(self, path: Path, policy: str, kept: Any, by: Write, lost: Any) -> Entry:
        stamp, writer = self.key[:2]
        return Entry(path, policy, kept, by.key[1], by.key[0], lost, writer, stamp)
