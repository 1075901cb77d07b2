"""What a policy has to say of an update before anything of it is merged.

An update is refused whole or not at all, so that everything that can refuse it is looked for
first: a value that a policy cannot take, an aggregate that would grow too large, and with `refuse`
a concurrent write. For `first` the paths are named at which something stands that is to stay.

Only for sections that have rules: all others never come here.
"""

from __future__ import annotations

import json
from typing import Final

from bridge.core.cell import AGGREGATES, Cell, fits, seeded
from bridge.core.conflict import differs
from bridge.core.limits import CONTRIBUTIONS_PER_CELL, INTEGER_MAX
from bridge.core.paths import path_text
from bridge.core.policy import PolicyName, Rules
from bridge.core.refusal import Refusal
from bridge.core.section import (
    CHANGED_BY,
    HIDDEN,
    VERSION,
    WRITER,
    Child,
    Children,
    JsonObject,
    JsonValue,
    Key,
    Node,
    Path,
    Register,
    Section,
    registers_below,
)
from bridge.core.update import SectionName

SHOWN_CHARACTERS: Final = 200
"""Of a value that a refusal quotes: it is kept for as long as the refusal is remembered."""

_TAKES: Final[dict[PolicyName, str]] = {
    "sum": "numbers",
    "max": "numbers",
    "min": "numbers",
    "union": "arrays",
}


class _Refused(Exception):
    """The way out of the walk; never leaves this module."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Screening:
    """One update held against the policies of one section.

    Attributes:
        kept: Path whose policy is `first` -> what stands there and is to stay.
        refusal: Why the update must be refused, or None.
    """

    def __init__(
        self, section: Section, name: SectionName, key: Key, seen: int | None, device: str
    ) -> None:
        self._section = section
        self._name = name
        self._key = key
        self._seen = seen
        self._device = device
        self._full = False
        # The nearest removal or value above the member that is looked at.
        self._shadow: Register | None = None
        self.kept: dict[Path, Register] = {}
        self.refusal: Refusal | None = None

    def look_at(self, patch: JsonObject, *, full: bool) -> None:
        """Look at a whole patch."""
        section, rules = self._section, self._section.rules
        if rules is None:
            return
        self._full = full
        self._shadow = section.root
        try:
            if full and not self._is_shadowed:
                self._look_below(section.nodes, section.value, rules, (), patch)
            self._look(section.nodes, section.value, patch, (), rules)
        except _Refused as refused:
            self.refusal = refused.refusal

    def _look(
        self,
        nodes: Children,
        value: JsonObject,
        patch: JsonObject,
        path: Path,
        rules: Rules,
    ) -> None:
        """Look at the members of an object."""
        for name, new in patch.items():
            below = rules.step(name)
            if below is None:
                continue
            child, here, current = nodes.get(name), (*path, name), value.get(name)
            if isinstance(new, dict):
                above = self._shadow
                self._shadow = _deeper(above, child.register if isinstance(child, Node) else child)
                children = child.children if isinstance(child, Node) else {}
                inner = current if isinstance(current, dict) else {}
                self._look(children, inner, new, here, below)
                self._shadow = above
                continue
            if below.policy in AGGREGATES:
                self._look_at_contribution(child, new, current, here, below.policy)
            if below.policy in ("first", "refuse"):
                self._look_at_leaf(child, new, current, here, below.policy)
            if isinstance(current, dict) and isinstance(child, Node) and not self._is_shadowed:
                self._look_below(child.children, current, below, here, None)

    @property
    def _is_shadowed(self) -> bool:
        return self._shadow is not None and self._shadow > self._key

    def _look_at_leaf(
        self,
        child: Child | None,
        new: JsonValue,
        current: JsonValue,
        path: Path,
        policy: PolicyName,
    ) -> None:
        if not differs(current, new):
            return
        met = _registers_of(child) + ([] if self._shadow is None else [self._shadow])
        concurrent = [register for register in met if self._is_concurrent(register)]
        if not concurrent:
            return
        contesting = max(concurrent)
        if policy == "first":
            self.kept[path] = contesting
        else:
            raise self._conflict(path, current, contesting)

    def _look_below(
        self,
        nodes: Children,
        value: JsonObject,
        rules: Rules,
        path: Path,
        patch: JsonObject | None,
    ) -> None:
        """Look at what a removal above would hide; what the patch names is looked at by itself."""
        for name, current in value.items():
            below = rules.step(name)
            if below is None or (patch is not None and name in patch and patch[name] is None):
                continue
            new = None if patch is None else patch.get(name)
            child, here = nodes[name], (*path, name)
            if isinstance(current, dict) and isinstance(child, Node):
                inner = new if isinstance(new, dict) else None
                self._look_below(child.children, current, below, here, inner)
            elif new is None and below.policy == "refuse":
                register = child.register if isinstance(child, Node) else child
                if register is not None and register < self._key and self._is_concurrent(register):
                    raise self._conflict(here, current, register)

    def _is_concurrent(self, register: Register) -> bool:
        if self._seen is None:
            return register > self._key and register[WRITER] != self._key[1]
        return register[VERSION] > self._seen and register[CHANGED_BY] not in (HIDDEN, self._key[1])

    def _look_at_contribution(
        self,
        child: Child | None,
        new: JsonValue,
        current: JsonValue,
        path: Path,
        policy: PolicyName,
    ) -> None:
        """Refuse what the aggregate cannot take, or would grow too large by."""
        if new is None:
            return
        if not fits(policy, new):
            takes = f"its policy {policy} takes {_TAKES[policy]}, not {_shown(new)}"
            raise _Refused(Refusal(422, "policy_type", f"{self._where(path)}: {takes}"))
        node = child if isinstance(child, Node) else Node(child, is_value=child is not None)
        if isinstance(new, list) and len(new) > CONTRIBUTIONS_PER_CELL:
            raise self._too_many(path, policy, len(new))
        if self._is_shadowed or _is_far_from_limits(node.cell, policy, current, new):
            return
        trial = seeded(node, current, policy, self._device, self._section.root).copy()
        if self._full:
            trial.drop_older(self._key)
        size = trial.size
        trial.write(self._key, new, 0, "", None)
        if trial.size > max(size, CONTRIBUTIONS_PER_CELL):
            raise self._too_many(path, policy, trial.size)
        if policy == "sum" and not trial.is_in_range:
            large = "the sum would not fit into 64 bits signed: set it to null to begin anew"
            raise _Refused(Refusal(422, "policy_range", f"{self._where(path)}: {large}"))

    def _too_many(self, path: Path, policy: PolicyName, count: int) -> _Refused:
        many = (
            f"its policy {policy} would keep {count} contributions, the limit is "
            f"{CONTRIBUTIONS_PER_CELL}: set it to null to begin anew"
        )
        return _Refused(Refusal(413, "too_many_contributions", f"{self._where(path)}: {many}"))

    def _conflict(self, path: Path, current: JsonValue, register: Register) -> _Refused:
        what = "was removed" if current is None else f"is {_shown(current)}"
        return _Refused(
            Refusal(
                409,
                "conflict",
                f"{self._where(path)} {what} since version {register[VERSION]}, by "
                f"{register[CHANGED_BY] or register[WRITER]}, which this update had not seen: get "
                "the twin, and decide again",
            )
        )

    def _where(self, path: Path) -> str:
        return _clipped(path_text((self._name, *path)))


def _is_far_from_limits(
    cell: Cell | None, policy: PolicyName, current: JsonValue, new: JsonValue
) -> bool:
    """Tell without trying whether no limit of an aggregate can be met."""
    added = len(new) if isinstance(new, list) else 1
    if (1 if cell is None else cell.size) + added > CONTRIBUTIONS_PER_CELL:
        return False
    if policy != "sum" or not isinstance(new, int | float):
        return True
    held = current if cell is None else cell.magnitude()
    return isinstance(held, int | float) and abs(held) + abs(new) <= INTEGER_MAX


def _deeper(above: Register | None, own: Register | None) -> Register | None:
    """Return the newer of two registers; of one update's, that which stands nearer."""
    if above is None or own is None:
        return above or own
    return own if own[:4] >= above[:4] else above


def _registers_of(child: Child | None) -> list[Register]:
    if child is None:
        return []
    if isinstance(child, tuple):
        return [child]
    own = [register for register in (child.register, child.marker) if register is not None]
    return [*own, *registers_below(child.children)]


def _shown(value: JsonValue) -> str:
    return _clipped(json.dumps(value, ensure_ascii=False))


def _clipped(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
