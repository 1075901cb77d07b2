"""One section of the model: every write that was ever taken, and what is to be seen of it.

What is visible is computed from all writes after every message, from nothing:

- a value or a removal hides what is older below it;
- a value is hidden by anything newer below it, a removal too;
- `{}` is a mark that says "here is an object", and hides an older value.

Nothing is ever forgotten, but by a deletion of the twin; tombstones do not expire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.reference.conflicts import NOBODY, Before, Entry, Log
from tests.reference.policies import (
    AGGREGATES,
    CLASSES,
    Key,
    Path,
    Write,
    contributions,
    fits,
    is_in_range,
    matters,
    show,
    winning,
)
from tests.reference.values import leaves, same, value_at

OLDEST: Any = (-1,)
"""A key below all."""


class Message(NamedTuple):
    """An update on its way into a section, after it was given its key."""

    key: Key
    patch: dict[str, Any]
    full: bool
    seen: int | None
    version: int
    turn: int


class Refused(Exception):
    """An update that a policy refuses: code and error of the answer."""

    def __init__(self, code: int, error: str) -> None:
        super().__init__(error)
        self.code = code
        self.error = error


class ModelSection:
    """`reported` or `desired`.

    Attributes:
        visible: What is to be seen.
        writes: Path -> all values and removals set at it, in order of arrival. The path of the
            whole section's removals is ().
        marks: Path -> the newest `{}` set at it.
        top: Path -> the newest of its writes: the register.
        changed: Path -> version and writer of the last change of its register.
        marks_changed: The same of its mark.
        shown: Path -> value of every path that shows its own.
        regime: Path -> the policy that its last write found: one that is configured later, or no
            more, begins with the next.
        version: The twin's version when something visible changed last.
    """

    def __init__(self, device: str, policy_of: Callable[[Path], str]) -> None:
        self.device = device
        self.policy_of = policy_of
        self.version = 0
        self.forget({})

    def forget(self, root: dict[Path, tuple[Key, int, str]]) -> None:
        """Begin anew; after a deletion with nothing but a removal of the section."""
        self.visible: dict[str, Any] = {}
        self.writes: dict[Path, list[Write]] = {}
        self.marks: dict[Path, Write] = {}
        self.top: dict[Path, Write] = {}
        self.changed: dict[Path, tuple[int, str]] = {}
        self.marks_changed: dict[Path, tuple[int, str]] = {}
        self.shown: dict[Path, Any] = {}
        self.regime: dict[Path, str] = {}
        for path, (key, version, writer) in root.items():
            self._take(path, Write(key, None, 0, None))
            self.changed[path] = version, writer

    def _take(self, path: Path, write: Write) -> None:
        self.writes.setdefault(path, []).append(write)
        if path not in self.top or self.top[path].key < write.key:
            self.top[path] = write

    def _write(self, path: Path, write: Write) -> None:
        """Take a write by the policy of its path."""
        policy = self.policy_of(path)
        if path in self.top and not _is_same_regime(self.regime.get(path, "latest"), policy):
            self.writes[path] = self._seeds(path, policy)
        self.regime[path] = policy
        self._take(path, write)

    def _seeds(self, path: Path, policy: str) -> list[Write]:
        """Return what a policy that was configured later begins with: what its path shows."""
        top, shown = self.top[path], self.shown.get(path)
        version, writer = self.changed[path]
        is_known = shown is not None or writer != NOBODY
        if policy not in AGGREGATES and policy not in CLASSES:
            return []
        if not is_known or (shown is not None and not fits(policy, shown)):
            return []
        seed = Write(top.key, shown, top.turn, None)
        seed.version = version
        return [seed]

    # What a message meets.

    def newest_above(self, path: Path) -> Write | None:
        """Return the newest value or removal above a path."""
        newest = None
        for depth in range(len(path)):
            write = self.top.get(path[:depth])
            if write is not None and (newest is None or newest.key <= write.key):
                newest = write
        return newest

    def is_shadowed(self, path: Path, key: Key) -> bool:
        """Tell whether something newer stands above a path."""
        above = self.newest_above(path)
        return above is not None and above.key > key

    def is_spared(self, path: Path, *, mark: bool = False) -> bool:
        """Tell whether the last removal of the section left a path alone, for `first` kept it.

        Left alone is what is at and below a path that keeps what it has, and what holds it or
        stands in its place above it: a mark, or the value that was to be seen there.
        """
        root = self.top.get(())
        if root is None or not root.spared:
            return False
        if any(path[: len(kept)] == kept for kept in root.spared):
            return True
        holds = any(kept[: len(path)] == path for kept in root.spared)
        return holds and (mark or path in root.spared_values)

    def live_marks(self) -> dict[Path, Write]:
        """Return the marks that nothing newer, at their paths or above, has removed."""
        live = {}
        for path, mark in self.marks.items():
            above = [
                self.top[path[:depth]] for depth in range(len(path)) if path[:depth] in self.top
            ]
            if self.is_spared(path, mark=True) and above and above[0] is self.top.get(()):
                del above[0]
            if all(write.key <= mark.key for write in above) and (
                path not in self.top or self.top[path].key < mark.key
            ):
                live[path] = mark
        return live

    def newest_stamp_met(self, message: Message, seen: int) -> int:
        """Rule 2 of the stamps: the largest of what the writer had seen and writes over."""
        stamps = [0]
        registers = [(path, self.top[path], self.changed[path]) for path in self.top]
        marks = [(path, mark, self.marks_changed[path]) for path, mark in self.live_marks().items()]
        for path, write, (version, _) in (*registers, *marks):
            if version <= seen and (message.full or _meets(path, message.patch)):
                stamps.append(write.key[0])
        return max(stamps)

    # What a policy says beforehand.

    def screen(self, message: Message) -> dict[Path, Write]:
        """Return the paths at which `first` keeps what is there, and what that is.

        Raises:
            Refused: A policy refuses the message.
        """
        kept: dict[Path, Write] = {}
        if message.full and not self.is_shadowed(("",), message.key):
            self._protect(message, (), dict(leaves(message.patch)))
        for path, value in leaves(message.patch):
            if value == {} and isinstance(value, dict):
                continue
            policy = self.policy_of(path)
            if policy in AGGREGATES and value is not None:
                self._screen_contribution(message, path, value, policy)
            contesting = None
            if policy in ("first", "refuse"):
                contesting = self._contesting(message, path, value)
            if contesting is not None:
                if policy == "refuse":
                    raise Refused(409, "conflict")
                kept[path] = contesting
            if isinstance(value_at(self.visible, path), dict) and not self.is_shadowed(
                path, message.key
            ):
                self._protect(message, path, {})
        return kept

    def _screen_contribution(self, message: Message, path: Path, value: Any, policy: str) -> None:
        if not fits(policy, value):
            raise Refused(422, "policy_type")
        if policy != "sum" or self.is_shadowed(path, message.key):
            return
        above = self.all_above(path)
        if message.full:
            above.append(Write(message.key, None, message.turn, None))
        write = Write(message.key, value, message.turn, message.seen)
        writes = self.writes.get(path, [])
        if writes and not _is_same_regime(self.regime.get(path, "latest"), policy):
            writes = self._seeds(path, policy)
        total = show(policy, [*writes, write], above, self.device)
        if total is not None and not is_in_range(total):
            raise Refused(422, "policy_range")

    def _contesting(self, message: Message, path: Path, value: Any) -> Write | None:
        """Return the newest write that a leaf meets and that its writer had not seen."""
        if same(value_at(self.visible, path), value):
            return None
        met = [
            (write, self.changed[at]) for at, write in self.top.items() if at[: len(path)] == path
        ]
        met += [
            (mark, self.marks_changed[at])
            for at, mark in self.live_marks().items()
            if at[: len(path)] == path
        ]
        above = self.newest_above(path)
        if above is not None:
            met.append((above, self._changed_of(above, path)))
        contesting = [
            write for write, changed in met if self._is_concurrent(message, write, changed)
        ]
        return max(contesting, key=lambda write: write.key, default=None)

    def _changed_of(self, above: Write, path: Path) -> tuple[int, str]:
        at = next(path[:depth] for depth in range(len(path)) if self.top.get(path[:depth]) is above)
        return self.changed[at]

    def _is_concurrent(self, message: Message, write: Write, changed: tuple[int, str]) -> bool:
        if message.seen is None:
            return write.key > message.key and write.key[1] != message.key[1]
        version, writer = changed
        return version > message.seen and writer not in (NOBODY, message.key[1])

    def _protect(self, message: Message, path: Path, named: dict[Path, Any]) -> None:
        """Refuse what would hide a value whose policy is `refuse`, and which it had not seen."""
        for at in self.shown:
            if len(at) <= len(path) or at[: len(path)] != path or self.policy_of(at) != "refuse":
                continue
            if any(_answers_for(name, value, at) for name, value in named.items()):
                continue
            register = self.top[at]
            if register.key < message.key and self._is_concurrent(
                message, register, self.changed[at]
            ):
                raise Refused(409, "conflict")

    # Taking it in.

    def merge(self, message: Message, kept: dict[Path, Write]) -> tuple[bool, list[Entry]]:
        """Take a message in; tells whether any of it took effect, and what was contested."""
        key = message.key
        before = Before(
            self.visible, self.shown, dict(self.top), dict(self.changed), self.live_marks()
        )
        if self.is_shadowed(("",), key):
            return False, Log(self, before, message, kept, []).entries
        written: dict[Path, Write] = {}
        unnamed = list(_unnamed(self.visible, message.patch)) if message.full else []
        if message.full:
            for path in ((), *unnamed):
                if not self.is_shadowed(path, key) and self._may_decide(path, key):
                    written[path] = Write(key, None, message.turn, message.seen, unnamed=True)
            written[()].spared = tuple(kept)
            written[()].spared_values = frozenset(self.shown)
        for path, value in leaves(message.patch):
            if path in kept or self.is_shadowed(path, key):
                continue
            write = Write(key, value, message.turn, message.seen)
            if value == {} and isinstance(value, dict):
                if path not in self.marks or self.marks[path].key < key:
                    self.marks[path] = write
            elif self._may_decide(path, key):
                written[path] = write
        for path, write in written.items():
            # Taken for a change, until it is known.
            write.version = message.version + 1
            self._write(path, write)
        for path, mark in before.marks.items():
            # What hides a mark hides all that a removal in its place would: it is one from now on.
            if mark.key < key and any(path[:depth] in written for depth in range(1, len(path))):
                self._take(path, Write(mark.key, None, message.turn, None, unnamed=True))
                self.changed[path] = self.marks_changed[path]
        self.look()
        if message.full:
            for path in _objects_named(message.patch):
                if value_at(before.visible, path) == {} and value_at(self.visible, path) is None:
                    written[path] = Write(key, None, message.turn, None, unnamed=True)
                    self._take(path, written[path])
        self._settle(message, written, before)
        self._settle_marks(message, before)
        named = {path: write for path, write in written.items() if not write.unnamed}
        took = any(self._took_effect(path, write) for path, write in named.items())
        set_marks = any(self.marks[path].key == key for path in self.live_marks())
        took = took or set_marks or message.full or not message.patch
        entries = Log(self, before, message, kept, unnamed).entries
        for path, write in written.items():
            if same(value_at(before.visible, path), value_at(self.visible, path)):
                write.version = message.version
        return took, entries

    def _may_decide(self, path: Path, key: Key) -> bool:
        """Tell whether a write is the newest at its path, or its policy looks at older ones too."""
        policy = self.policy_of(path)
        is_newest = path not in self.top or self.top[path].key < key
        return is_newest or policy in AGGREGATES or policy in CLASSES

    def _settle(
        self,
        message: Message,
        written: dict[Path, Write],
        before: Before,
    ) -> None:
        """Note what the message has changed, path by path."""
        writer, version = message.key[1], message.version
        for path, write in written.items():
            if not same(value_at(before.visible, path), value_at(self.visible, path)):
                self.changed[path] = version + 1, writer
            else:
                self.changed.setdefault(path, (version, writer))
        for path in (before.shown.keys() | self.shown.keys()) - written.keys():
            if path not in self.shown:
                is_hidden = self.top[path].key < message.key
                self.changed[path] = version + 1, NOBODY if is_hidden else writer
            elif not same(before.shown.get(path), self.shown[path]):
                self.changed[path] = version + 1, writer
        for path in self.top.keys() - written.keys():
            # An object that went with what is above it.
            if (
                isinstance(value_at(before.visible, path), dict)
                and not isinstance(value_at(self.visible, path), dict)
                and any(path[:depth] in written for depth in range(1, len(path)))
            ):
                self.changed[path] = version + 1, NOBODY

    def _settle_marks(self, message: Message, before: Before) -> None:
        version, writer = message.version, message.key[1]
        for path, mark in self.marks.items():
            if mark.key != message.key:
                continue
            if not isinstance(value_at(before.visible, path), dict):
                self.marks_changed[path] = version + 1, writer
            elif path not in before.marks:
                self.marks_changed[path] = version, writer

    def _took_effect(self, path: Path, write: Write) -> bool:
        policy = self.policy_of(path)
        if policy in AGGREGATES:
            above = self.all_above(path)
            others = [other for other in self.writes[path] if other is not write]
            if write.value is not None:
                kept = contributions(policy, self.writes[path], above)
                return matters(policy, kept, write)
            kept = contributions(policy, others, above)
            if any(other.key < write.key and matters(policy, kept, other) for other in kept):
                return True
        if policy in CLASSES:
            stands = winning(policy, self.writes[path], self.all_above(path), self.device) is write
        else:
            stands = self.top[path] is write
        return stands and (path in self.shown or (write.value is None and not self.is_hidden(path)))

    def is_hidden(self, path: Path) -> bool:
        """Tell whether something newer than a path's register is below it."""
        key = self.top[path].key
        return any(
            at[: len(path)] == path and write.key > key
            for at, write in (*self.top.items(), *self.live_marks().items())
        )

    # What is to be seen.

    def all_above(self, path: Path) -> list[Write]:
        above = [write for depth in range(len(path)) for write in self.writes.get(path[:depth], ())]
        return [w for w in above if w is not self.top.get(())] if self.is_spared(path) else above

    def look(self) -> None:
        """Compute what is visible from all writes."""
        newest_below: dict[Path, Any] = {}
        newest_above: dict[Path, Any] = {}
        top, marks = self.top, self.marks
        root = top[()].key if () in top else OLDEST
        for path in top.keys() | marks.keys():
            own = top[path].key if path in top else OLDEST
            newest = max(own, marks[path].key) if path in marks else own
            shadow = OLDEST
            for depth in range(len(path)):
                prefix = path[:depth]
                if prefix and prefix in top and top[prefix].key > shadow:
                    shadow = top[prefix].key
                if newest > newest_below.get(prefix, OLDEST):
                    newest_below[prefix] = newest
            newest_above[path] = shadow
        self.visible, self.shown = {}, {}
        for path, write in top.items():
            hidden = (
                not path
                or newest_above[path] > write.key
                or (root > write.key and not self.is_spared(path))
                or newest_below.get(path, OLDEST) > write.key
                or (path in marks and marks[path].key > write.key)
            )
            value = None if hidden else self._own_value(path, write)
            if value is not None:
                self.shown[path] = value
                self._place(path, value)
        for path in self.live_marks():
            self._object_at(path)

    def _own_value(self, path: Path, write: Write) -> Any:
        policy = self.regime.get(path, "latest")
        if policy in AGGREGATES or policy in CLASSES:
            return show(policy, self.writes[path], self.all_above(path), self.device)
        return write.value

    def _object_at(self, path: Path) -> dict[str, Any]:
        place = self.visible
        for name in path:
            place = place.setdefault(name, {})
        return place

    def _place(self, path: Path, value: Any) -> None:
        self._object_at(path[:-1])[path[-1]] = value


def _is_same_regime(one: str, other: str) -> bool:
    """Tell whether two policies keep the same of a path: of most it is the newest write only."""
    plain = ("latest", "first", "refuse")
    return one == other or (one in plain and other in plain)


def _meets(path: Path, patch: Any) -> bool:
    """Tell whether a patch meets what is at a path: there, above it, or by a leaf below it."""
    for name in path:
        if not isinstance(patch, dict):
            return True
        if name not in patch:
            return False
        patch = patch[name]
    return True


def _objects_named(patch: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the objects in a patch."""
    for name, member in patch.items():
        if isinstance(member, dict):
            yield (*path, name)
            yield from _objects_named(member, (*path, name))


def _answers_for(name: Path, value: Any, at: Path) -> bool:
    """Tell whether a leaf of a patch decides by itself what becomes of a path."""
    return name[: len(at)] == at or (value is None and at[: len(name)] == name)


def _unnamed(visible: dict[str, Any], patch: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """Yield what is visible and not named by the patch: the highest paths."""
    for name, member in visible.items():
        here = (*path, name)
        if name not in patch:
            yield here
        elif isinstance(member, dict) and isinstance(patch[name], dict):
            yield from _unnamed(member, patch[name], here)
