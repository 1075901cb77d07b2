"""Histories for the tests of the past: what was sent, the rows it left, and what was there then."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from bridge.core.difference import copy_object
from bridge.core.limits import Limits
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.reconcile import Change, Outcome, delete, reconcile_presence
from bridge.core.timeline import Found, Moment, Point, Rewind
from bridge.core.twin import Twin
from bridge.core.update import Presence
from tests.core.test_tree import patches
from tests.core.world import SECOND, World

VERSION_STEP = 1000
"""Far above all versions that are made here."""

_METADATA: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "seen": st.integers(0, 12),
        "full": st.just(True),
        "seq": st.integers(1, 6),
        "time": st.integers(0, 20).map(lambda s: World().clock + s * SECOND),
    },
)
steps = st.one_of(
    st.tuples(st.sampled_from(["reported", "desired"]), patches, _METADATA),
    st.tuples(st.just("presence"), st.booleans(), st.none()),
    st.tuples(st.just("delete"), st.none(), st.none()),
)


policies = st.sampled_from(
    [
        NO_POLICIES,
        Policies.parse(
            {"*": {"reported.a": "sum", "reported.b.**": "union", "desired.*": "app"}}, Limits()
        ),
    ]
)


class Past(NamedTuple):
    """A twin with its rows, the newest first, and each version as it was."""

    world: World
    rows: list[Change]
    snapshots: dict[int, Moment]

    @property
    def present(self) -> Moment:
        """The twin now."""
        return snapshot(self.world)

    def find(self, point: Point, *, page: int = 3, rows: list[Change] | None = None) -> Found:
        """Look for a point, with pages of that size."""
        rewind = Rewind(self.present, point, VERSION_STEP)
        kept = self.rows if rows is None else rows
        found = rewind.start()
        while found is None:
            found = rewind.take([r for r in kept if r.version < rewind.below_version][:page])
        return found


def snapshot(world: World) -> Moment:
    """What the twin is now."""
    twin = world.twin
    return Moment(
        twin.version,
        twin.at,
        twin.exists,
        copy_object(twin.reported.value),
        copy_object(twin.desired.value),
    )


def live(script: list[tuple[str, Any, Any]], policies: Policies = NO_POLICIES) -> Past:
    """Send all of it."""
    world = World()
    world.twin = Twin(world.twin.key, policies)
    past = Past(world, [], {})
    for what, value, metadata in script:
        outcome = _do(world, what, value, metadata)
        if outcome.change is not None:
            past.rows.insert(0, outcome.change)
        if outcome.changed:
            past.snapshots[outcome.version] = snapshot(world)
    return past


def _do(world: World, what: str, value: Any, metadata: Any) -> Outcome:
    if what == "presence":
        return reconcile_presence(world.twin, Presence(value), world.clock + SECOND)
    if what == "delete":
        return delete(world.twin, "app", world.clock + SECOND)
    writer = "lamp-1" if what == "reported" else "app"
    return world.send(value, section=what, writer=writer, **metadata)  # type: ignore[arg-type]
