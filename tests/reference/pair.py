"""The core and the model side by side: both are given the same, and must say and show the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from bridge.core import reconcile as core
from bridge.core.limits import Limits
from bridge.core.plain import report_plainly
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.section import Node, Register, Section
from bridge.core.since import changes_since
from bridge.core.twin import Twin
from bridge.core.update import NO_METADATA, Update
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin, encode_internals
from tests.reference.conflicts import as_multiset
from tests.reference.model import Answer, ModelTwin
from tests.reference.section import ModelSection
from tests.reference.steps import (
    DEVICE,
    SECOND,
    TWIN_KEY,
    Appear,
    Delete,
    History,
    Reload,
    Send,
    Step,
)
from tests.reference.values import merge_patch, same, without_hollows

LIMITS = Limits()


class Divergence(AssertionError):
    """The core and the model do not agree."""


class Pair:
    """One twin of the core and one of the model.

    Args:
        table: Path pattern -> policy.
        stores: What the core says is to be stored is encoded after each step; needed for `Reload`.
    """

    def __init__(self, table: dict[str, str] | None = None, *, stores: bool = True) -> None:
        self._policies = policies_of(table or {})
        self.twin = Twin(TWIN_KEY, self._policies)
        self.model = ModelTwin(DEVICE, table=table)
        self._stores = stores
        # What was to be seen at each version since the twin was last deleted.
        self._seen_at: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._saved = self._store()

    def step(self, step: Step) -> None:
        """Let one thing happen to both, and compare them.

        Raises:
            Divergence: They differ.
        """
        if isinstance(step, Reload):
            if step.table is not None:
                self._policies = policies_of(step.table)
                self.model.configure(step.table)
            self.twin = decode_twin(self._saved, self._policies)
            self._compare_all()
            return
        twin, model = self.twin, self.model
        before = {name: model.sections[name].visible for name in model.sections}
        if isinstance(step, Send):
            update = step.update()
            outcome = self._plainly(update, step.clock) or core.reconcile(
                twin, update, step.clock, LIMITS
            )
            answer = model.update(update, step.clock)
        elif isinstance(step, Appear):
            outcome = core.reconcile_presence(twin, step.presence(), step.clock)
            answer = model.presence(step.presence(), step.clock)
        else:
            outcome = core.delete(twin, step.writer, step.clock, b"", step.delivery())
            answer = model.delete(step.writer, step.clock, b"", step.delivery())
        self._compare_outcome(outcome, answer)
        if isinstance(step, Send):
            self._compare_section(step.section)
            self._compare_change(outcome.change, before[step.section], step.section)
        else:
            self._compare_all()
        self._compare_twin()
        self._remember()
        if outcome.store and self._stores:
            self._saved = self._store()

    def _plainly(self, update: Update, clock: int) -> core.Outcome | None:
        """Go the short way where the bridge would, each second time: both ways must agree."""
        repeated, retained = update.delivery[1:]
        if (
            (clock // SECOND) % 2
            or (update.section, update.writer) != ("reported", DEVICE)
            or update.metadata is not NO_METADATA
            or update.refusal is not None
            or repeated
            or retained
            or not all(isinstance(new, str | int | float) for new in update.patch.values())
        ):
            return None
        change = report_plainly(
            self.twin, update.patch, update.payload, update.delivery.packet_id, clock, LIMITS
        )
        if change is None:
            return None
        changed = change != "unchanged"
        return core.Outcome(
            self.twin.version, changed, store=True, change=change if changed else None
        )

    def _remember(self) -> None:
        model = self.model
        if not model.exists:
            self._seen_at.clear()
        else:
            sections = model.sections
            self._seen_at[model.version] = sections["reported"].visible, sections["desired"].visible

    def check_since(self) -> None:
        """Check that what changed since each version leads from it to now.

        Raises:
            Divergence: It does not.
        """
        for version, then in self._seen_at.items():
            changes = changes_since(self.twin, version)
            if changes is None:
                if version >= self.twin.horizon:
                    raise Divergence(f"since {version}: not known")
                continue
            for name, old, patch in zip(("reported", "desired"), then, changes, strict=True):
                now = self.model.sections[name].visible
                if not same(merge_patch(old, patch), now):
                    raise Divergence(
                        f"since {version} of {name}: {patch!r} onto {old!r}, expected {now!r}"
                    )

    def _store(self) -> StoredTwin:
        twin = self.twin
        state = orjson.dumps(twin.document()) if twin.exists else b""
        return StoredTwin(
            TWIN_KEY, 1, twin.version, 0, twin.exists, twin.at, state, None, encode_internals(twin)
        )

    def _compare_outcome(self, outcome: core.Outcome, answer: Answer) -> None:
        refusal = None if outcome.refusal is None else outcome.refusal[:2]
        found = (
            outcome.version, outcome.changed, outcome.duplicate, outcome.superseded, refusal,
        )  # fmt: skip
        expected = (
            answer.version, answer.changed, answer.duplicate, answer.superseded, answer.refusal,
        )  # fmt: skip
        _check("(version, changed, duplicate, superseded, refusal)", found, expected)
        if outcome.change is not None:
            _check("stamp", outcome.change.stamp, answer.stamp)
        if outcome.conflicts or answer.contested:
            found, expected = map(as_multiset, (outcome.conflicts, answer.contested))
            _check("conflicts", found, expected)

    def _compare_twin(self) -> None:
        twin, model = self.twin, self.model
        found = (twin.version, twin.at, twin.exists, twin.online, twin.now)
        expected = (model.version, model.at, model.exists, model.online, model.now)
        _check("(version, at, exists, online, now)", found, expected)
        if not same(twin.delta(), model.delta()):
            raise Divergence(f"delta: {twin.delta()!r}, expected {model.delta()!r}")

    def _compare_all(self) -> None:
        for name in ("reported", "desired"):
            self._compare_section(name)
        self._compare_twin()

    def _compare_section(self, name: str) -> None:
        found = self.twin.reported if name == "reported" else self.twin.desired
        expected = self.model.sections[name]
        if not same(found.value, expected.visible):
            raise Divergence(f"{name}: {found.value!r}, expected {expected.visible!r}")
        _check(f"version of {name}", found.version, expected.version)
        _check(f"fields of {name}", dict(fields_of(found)), fields_expected(expected))
        for register in found.registers():
            if register[4] > self.twin.version:
                raise Divergence(f"{name}: {register} is of a version that does not exist")

    def _compare_change(
        self, change: core.Change | None, before: dict[str, Any], name: str
    ) -> None:
        """What is said to have changed leads from before to after, and back."""
        after = self.model.sections[name].visible
        forward = {} if change is None else change.forward
        if not same(merge_patch(before, forward), after):
            raise Divergence(f"forward: {forward!r} does not lead from {before!r} to {after!r}")
        if change is not None:
            back = merge_patch(after, change.backward)
            if not same(without_hollows(back), without_hollows(before)):
                raise Divergence(f"backward: {change.backward!r} leads to {back!r}")


_POLICIES: dict[str, Policies] = {}


def policies_of(table: dict[str, str]) -> Policies:
    """Return the core's table; made once, as a configuration is read once."""
    name = repr(sorted(table.items()))
    if name not in _POLICIES:
        _POLICIES[name] = Policies.parse({"*": table}, LIMITS) if table else NO_POLICIES
    return _POLICIES[name]


def _check(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise Divergence(f"{what}: {found!r}, expected {expected!r}")


def fields_of(section: Section) -> Iterator[tuple[tuple[str, ...], Register]]:
    """Yield the register of every visible value."""
    yield from _fields_below(section.nodes, section.value, ())


def _fields_below(
    nodes: Any, value: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Register]]:
    for name, member in value.items():
        node, here = nodes[name], (*path, name)
        if isinstance(member, dict):
            yield from _fields_below(node.children, member, here)
        elif isinstance(node, Node):
            if node.register is not None:
                yield here, node.register
        else:
            yield here, node


def fields_expected(section: ModelSection) -> dict[tuple[str, ...], Any]:
    """Return the same of the model."""
    return {path: (*section.top[path].key, *section.changed[path]) for path in section.shown}


def check_history(table: dict[str, str], steps: list[Step]) -> None:
    """Let a whole history happen.

    Raises:
        Divergence: The core and the model differ; names the step.
    """
    pair = Pair(table, stores=any(isinstance(step, Reload) for step in steps))
    for number, step in enumerate(steps):
        try:
            pair.step(step)
        except Divergence as divergence:
            raise Divergence(f"step {number}: {step}: {divergence}") from None
    pair.check_since()


__all__ = ["Appear", "Delete", "Divergence", "History", "Pair", "Reload", "Send", "check_history"]
