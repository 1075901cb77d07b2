"""One section of the model: every write that was ever taken, and what is to be seen of it.

What is visible is computed from all writes after every message, from nothing:

- a value or a removal hides what is older below it;
- a value is hidden by anything newer below it, a removal too;
- `{}` is a mark that says "here is an object", and hides an older value.

Nothing is ever forgotten, but by a deletion of the twin; tombstones do not expire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.reference.policies import AGGREGATES, CLASSES, Key, Path, Write, fits, show

NOBODY = ""
"""Who changed a value last that is hidden by something newer: what hides it counts, not it."""

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
            self.take(path, Write(key, None, 0, None))
            self.changed[path] = version, writer

    def take(self, path: Path, write: Write) -> None:
        """Add a write to those of its path."""
        self.writes.setdefault(path, []).append(write)
        if path not in self.top or self.top[path].key < write.key:
            self.top[path] = write

    def write(self, path: Path, write: Write) -> None:
        """Take a write by the policy of its path."""
        policy = self.policy_of(path)
        if path in self.top and not is_same_regime(self.regime.get(path, "latest"), policy):
            self.writes[path] = self.seeds(path, policy)
        self.regime[path] = policy
        self.take(path, write)

    def seeds(self, path: Path, policy: str) -> list[Write]:
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

    def newest_above(self, path: Path) -> Path | None:
        """Return where the newest value or removal above a path is; of equals the nearest."""
        newest = None
        for depth in range(len(path)):
            at = path[:depth]
            if at in self.top and (newest is None or self.top[newest].key <= self.top[at].key):
                newest = at
        return newest

    def is_shadowed(self, path: Path, key: Key) -> bool:
        """Tell whether something newer stands above a path."""
        above = self.newest_above(path)
        return above is not None and self.top[above].key > key

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
        return {path: mark for path, mark in self.marks.items() if self._is_live(path, mark)}

    def _is_live(self, path: Path, mark: Write) -> bool:
        is_spared = self.is_spared(path, mark=True)
        return all(
            self.top[path[:depth]].key <= mark.key
            for depth in range(1 if is_spared else 0, len(path) + 1)
            if path[:depth] in self.top
        )

    def forget_marks(self) -> None:
        """Forget the others: they show nothing any more, and hide nothing that is not hidden."""
        self.marks = self.live_marks()

    def newest_stamp_met(self, message: Message, seen: int) -> int:
        """Rule 2 of the stamps: the largest of what the writer had seen and writes over."""
        stamps = [0]
        registers = [(path, self.top[path], self.changed[path]) for path in self.top]
        marks = [(path, mark, self.marks_changed[path]) for path, mark in self.live_marks().items()]
        for path, write, (version, _) in (*registers, *marks):
            if version <= seen and (message.full or _meets(path, message.patch)):
                stamps.append(write.key[0])
        return max(stamps)

    # What is to be seen.

    def is_hidden_below(self, path: Path) -> bool:
        """Tell whether something newer than a path's register is below it, or a mark at it."""
        key = self.top[path].key
        return any(
            at[: len(path)] == path and write.key > key
            for at, write in (*self.top.items(), *self.live_marks().items())
        )

    def all_above(self, path: Path) -> list[Write]:
        """Return all values and removals set above a path, and not held off from it by `first`."""
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


def is_same_regime(one: str, other: str) -> bool:
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
