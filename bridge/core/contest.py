"""One update against the writes that it meets: which were concurrent, and which of them stand."""

from __future__ import annotations

from typing import Final, TypeAlias

from bridge.core.conflict import Conflict, differs
from bridge.core.difference import copy_object
from bridge.core.limits import CONFLICTS_PER_UPDATE
from bridge.core.policy import PolicyName
from bridge.core.section import (
    CHANGED_BY,
    HIDDEN,
    STAMP,
    VERSION,
    WRITER,
    JsonValue,
    Key,
    Path,
    Register,
)

Side: TypeAlias = "tuple[JsonValue, str, int]"
"""One side of a conflict: its value, who wrote it, and the stamp."""

EVERYTHING: Final = 2**63
"""Above every version: a writer that does not say what it had seen is taken to have seen it."""


class Contest:
    """An update's key, what its writer had seen, and the conflicts found so far.

    The attributes are set by `bridge.core.tree.Merge`, all at once: there is one for every message.
    """

    __slots__ = ("_key", "_register", "_seen", "_seen_or_all", "_unchanged", "conflicts")

    _key: Key
    _seen: int | None
    _seen_or_all: int
    # What a register becomes where something visible changes, and where nothing does.
    _register: Register
    _unchanged: Register
    conflicts: list[Conflict]

    def _shadowed(
        self,
        register: Register,
        current: JsonValue,
        new: JsonValue,
        path: Path,
        policy: PolicyName | None,
    ) -> None:
        """Note that a part of this update does not stand, because another writer's does."""
        if policy is not None and register[WRITER] != self._key[1] and differs(current, new):
            self._lose(path, policy, current, register, new)

    def _replaced(
        self,
        register: Register,
        lost: JsonValue,
        kept: JsonValue,
        path: Path,
        policy: PolicyName | None,
    ) -> None:
        """Note that this update has replaced something that its writer had not seen."""
        concurrent = register[VERSION] > self._seen_or_all
        if policy is not None and concurrent and register[CHANGED_BY] not in (HIDDEN, self._key[1]):
            self._win(path, policy, kept, lost, register)

    def _lose(
        self, path: Path, policy: PolicyName, kept: JsonValue, by: Register, lost: JsonValue
    ) -> None:
        stamp, writer = self._key[:2]
        self._note(path, policy, (kept, by[WRITER], by[STAMP]), (lost, writer, stamp))

    def _win(
        self, path: Path, policy: PolicyName, kept: JsonValue, lost: JsonValue, from_: Register
    ) -> None:
        stamp, writer = self._key[:2]
        self._note(path, policy, (kept, writer, stamp), (lost, from_[CHANGED_BY], from_[STAMP]))

    def _note(self, path: Path, policy: PolicyName, kept: Side, lost: Side) -> None:
        if len(self.conflicts) < CONFLICTS_PER_UPDATE:
            kept_value, lost_value = _own(kept[0]), _own(lost[0])
            self.conflicts.append(
                Conflict(path, policy, kept_value, *kept[1:], lost_value, *lost[1:])
            )


def _own(value: JsonValue) -> JsonValue:
    return copy_object(value) if isinstance(value, dict) else value
