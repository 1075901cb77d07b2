"""Taking a message into a section: which of its writes count, and what it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.reference.conflicts import Before, Entry, Log
from tests.reference.policies import (
    AGGREGATES,
    CLASSES,
    Path,
    Write,
    contributions,
    matters,
    winning,
)
from tests.reference.section import NOBODY, Message, ModelSection
from tests.reference.values import leaves, same, value_at


class Merging:
    """One message that no policy has refused.

    Args:
        section: Changed by it.
        message: What has come.
        kept: Path at which `first` keeps what is there -> what that is.

    Attributes:
        took_effect: Something of the message stands.
        entries: What the conflict log gains.
    """

    def __init__(self, section: ModelSection, message: Message, kept: dict[Path, Write]) -> None:
        self.section = section
        self.message = message
        self.key = message.key
        self.written: dict[Path, Write] = {}
        self.turned: set[Path] = set()
        self.took_effect = False
        self.before = Before(
            section.visible,
            section.shown,
            dict(section.top),
            dict(section.changed),
            section.live_marks(),
        )
        unnamed: list[Path] = []
        if not section.is_shadowed(("",), self.key):
            if message.full:
                unnamed = list(_unnamed(section.visible, message.patch))
                self._remove_all(unnamed, kept)
            self._take(kept)
            self._settle()
            self.took_effect = self._took_effect()
        self.entries: list[Entry] = Log(section, self.before, message, kept, unnamed).entries
        for path, write in self.written.items():
            if not self._changed(path):
                write.version = message.version
        section.forget_marks()

    def _remove_all(self, unnamed: list[Path], kept: dict[Path, Write]) -> None:
        """Begin a `full`: a removal of the section, and one of each path that it does not name."""
        section = self.section
        for path in ((), *unnamed):
            if not section.is_shadowed(path, self.key) and self._may_decide(path):
                self.written[path] = self._removal()
        self.written[()].spared = tuple(kept)
        self.written[()].spared_values = frozenset(section.shown)

    def _removal(self) -> Write:
        return Write(self.key, None, self.message.turn, None, unnamed=True)

    def _may_decide(self, path: Path) -> bool:
        """Tell whether a write is the newest at its path, or its policy looks at older ones too."""
        own = self.section.top.get(path)
        policy = self.section.policy_of(path)
        return own is None or own.key < self.key or policy in AGGREGATES or policy in CLASSES

    def _take(self, kept: dict[Path, Write]) -> None:
        section, message = self.section, self.message
        for path, value in leaves(message.patch):
            if path in kept or section.is_shadowed(path, self.key):
                continue
            write = Write(self.key, value, message.turn, message.seen)
            if isinstance(value, dict):
                if path not in section.marks or section.marks[path].key < self.key:
                    section.marks[path] = write
            elif self._may_decide(path):
                self.written[path] = write
        for path, write in self.written.items():
            # Taken for a change, until it is known.
            write.version = message.version + 1
            section.write(path, write)
        self._turn_marks()
        section.look()
        if message.full:
            for path in _objects_named(message.patch):
                # It was empty: nothing below it can say that it went.
                if value_at(self.before.visible, path) == {} and not self._is_there(path):
                    self.written[path] = self._removal()
                    section.take(path, self.written[path])

    def _turn_marks(self) -> None:
        """What hides a mark hides all that a removal in its place would: it is one from now on."""
        section = self.section
        for path, mark in self.before.marks.items():
            if mark.key < self.key and self._is_below_a_write(path):
                turned = Write(mark.key, None, self.message.turn, None, unnamed=True)
                section.take(path, turned)
                self.turned.add(path)
                section.changed[path] = section.marks_changed[path]

    def _is_below_a_write(self, path: Path) -> bool:
        return any(path[:depth] in self.written for depth in range(1, len(path)))

    def _is_there(self, path: Path) -> bool:
        return value_at(self.section.visible, path) is not None

    def _changed(self, path: Path) -> bool:
        before, after = (value_at(t, path) for t in (self.before.visible, self.section.visible))
        return not same(before, after)

    def _settle(self) -> None:
        """Note what the message has changed, path by path: every register, and its own marks."""
        section, version, writer = self.section, self.message.version, self.key[1]
        changed, shown, shown_before = section.changed, section.shown, self.before.shown
        for path in self.written:
            if self._changed(path):
                changed[path] = version + 1, writer
            else:
                changed.setdefault(path, (version, writer))
        for path in section.top.keys() - self.written.keys():
            if path in shown_before and path not in shown:
                # What is newer than the message was not hidden by it: its value was taken.
                is_hidden = section.top[path].key < self.key
                changed[path] = version + 1, NOBODY if is_hidden else writer
            elif path in shown and not same(shown_before.get(path), shown[path]):
                changed[path] = version + 1, writer
            elif self._went_with_what_is_above(path):
                changed[path] = version + 1, NOBODY
            elif path not in self.turned and self._is_hidden_by_this(path):
                # What hides it is what counts from now on.
                changed[path] = changed[path][0], NOBODY
        for path, mark in section.marks.items():
            if mark.key == self.key and not isinstance(value_at(self.before.visible, path), dict):
                section.marks_changed[path] = version + 1, writer
            elif mark.key == self.key and path not in self.before.marks:
                section.marks_changed[path] = version, writer

    def _is_hidden_by_this(self, path: Path) -> bool:
        return self.section.top[path].key < self.key and self._is_below_a_write(path)

    def _went_with_what_is_above(self, path: Path) -> bool:
        """Tell whether an object was there and is not, because of a write above it."""
        before, after = (value_at(t, path) for t in (self.before.visible, self.section.visible))
        was_object = isinstance(before, dict) and not isinstance(after, dict)
        return was_object and self._is_below_a_write(path)

    def _took_effect(self) -> bool:
        message = self.message
        if message.full or not message.patch:
            return True
        if any(mark.key == self.key for mark in self.section.live_marks().values()):
            return True
        return any(self._stands(path, write) for path, write in self.written.items())

    def _stands(self, path: Path, write: Write) -> bool:
        """Tell whether a write shows, or is kept for what may come, or took what others wrote."""
        section = self.section
        policy, above, writes = (
            section.policy_of(path),
            section.all_above(path),
            section.writes[path],
        )
        if policy in AGGREGATES and write.value is not None:
            return matters(policy, contributions(policy, writes, above), write)
        if policy in AGGREGATES:
            others = contributions(policy, [other for other in writes if other is not write], above)
            if any(o.key < write.key and matters(policy, others, o) for o in others):
                return True
        if policy in CLASSES:
            is_newest = winning(policy, writes, above, section.device) is write
        else:
            is_newest = section.top[path] is write
        is_removed = write.value is None and not section.is_hidden_below(path)
        return is_newest and (path in section.shown or is_removed)


def _objects_named(patch: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the objects in a patch."""
    for name, member in patch.items():
        if isinstance(member, dict):
            yield (*path, name)
            yield from _objects_named(member, (*path, name))


def _unnamed(visible: dict[str, Any], patch: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """Yield what is visible and not named by the patch: the highest paths."""
    for name, member in visible.items():
        here = (*path, name)
        if name not in patch:
            yield here
        elif isinstance(member, dict) and isinstance(patch[name], dict):
            yield from _unnamed(member, patch[name], here)
