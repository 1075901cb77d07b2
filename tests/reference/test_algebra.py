"""Laws of merging: order and repetition do not matter, and patches lead where they say."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.section import Section
from bridge.core.since import changes_since
from bridge.core.tree import Merge
from bridge.core.twin import Twin
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin, encode_internals
from tests.reference.pair import policies_of
from tests.reference.steps import APPS, DEVICE, NOW, SECOND, TWIN_KEY, Send
from tests.reference.traffic import NAMES, NUMBERS, SCALARS
from tests.reference.values import leaves, merge_patch, outstanding, same, value_at

# It is work, not waiting: on a busy machine it takes long.
pytestmark = pytest.mark.timeout(1800)

names = st.sampled_from(NAMES)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "latest": st.sampled_from(SCALARS),
    "device": st.sampled_from(SCALARS),
    "app": st.sampled_from(SCALARS),
    "sum": st.sampled_from(NUMBERS),
    "max": st.sampled_from(NUMBERS),
    "min": st.sampled_from(NUMBERS),
    "union": st.sampled_from([[], [1], [1, 2], [2], [1.0, None]]),
}
WITH_REMOVALS = ("latest", "device", "app", "sum", "union")
"""Of `max` and `min` only each writer's best is kept: a late removal may take it with the rest."""

VERSION_STEP = 10
"""Between the versions at which writes arrive, so that what was seen lies clearly between two."""


class StampedWrite(NamedTuple):
    """A write with all that is given to it once: its key, the version, what its writer had seen."""

    key: tuple[int, str, int, int]
    version: int
    patch: dict[str, Any]
    full: bool
    seen: int | None


def objects(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects over a few names, a few levels deep."""
    return st.recursive(
        st.dictionaries(names, leaf, max_size=3),
        lambda inner: st.dictionaries(names, st.one_of(leaf, inner), max_size=3),
        max_leaves=6,
    )


@st.composite
def histories(draw: st.DrawFn, policy: str) -> list[StampedWrite]:
    """Draw writes of three writers, with and without boots, in the order of their keys."""
    removals = policy in WITH_REMOVALS
    leaf = st.one_of(VALUES[policy], st.none(), st.builds(dict)) if removals else VALUES[policy]
    # Without removals there is nothing above or below another either: that would be one.
    few = st.sampled_from(NAMES[:2])
    inner = st.dictionaries(few, leaf, max_size=2)
    anywhere = st.dictionaries(few, st.one_of(leaf, inner) if removals else leaf, max_size=2)
    # Where all write to one path, much of what is late comes between two that matter.
    value = st.one_of(VALUES[policy], st.none()) if removals else VALUES[policy]
    patches = draw(st.sampled_from([anywhere, st.fixed_dictionaries({NAMES[0]: value})]))
    fulls = st.sampled_from([False, False, False, removals])
    seen = st.one_of(st.none(), st.integers(0, 8).map(lambda n: n * VERSION_STEP + 5))
    contents = draw(st.lists(st.tuples(patches, fulls, seen), min_size=2, max_size=9))
    writers = (DEVICE, *APPS)
    return [
        StampedWrite(
            (number // 4, writers[number % 3], number % 2, number),
            draw(st.integers(0, 8)) * VERSION_STEP,
            *content,
        )
        for number, content in enumerate(contents)
    ]


def merged(writes: list[StampedWrite], policy: str) -> dict[str, Any]:
    """Merge writes in this order of arrival; returns what is visible."""
    table = {} if policy == "latest" else {"desired.**": policy}
    section = Section(policies_of(table).rules(TWIN_KEY, "desired"))
    for arrival, write in enumerate(writes):
        merge = Merge(section, write.key, write.version, arrival, seen=write.seen, device=DEVICE)
        merge.apply(write.patch, full=write.full)
    return section.value


@pytest.mark.parametrize("policy", VALUES)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), shuffle=st.randoms())
def test_any_order_of_the_same_stamped_writes_ends_the_same(
    policy: str, data: st.DataObject, shuffle: random.Random
) -> None:
    """Merging is commutative and associative, whatever the policy."""
    writes = data.draw(histories(policy))
    shuffled = [*writes]
    shuffle.shuffle(shuffled)
    assert same(merged(shuffled, policy), merged(writes, policy))


@pytest.mark.parametrize("policy", VALUES)
@settings(max_examples=80, deadline=None)
@given(data=st.data(), shuffle=st.randoms())
def test_what_is_merged_twice_counts_once(
    policy: str, data: st.DataObject, shuffle: random.Random
) -> None:
    """Merging is idempotent: at once, later, and in another order."""
    writes = data.draw(histories(policy))
    again = [*writes]
    shuffle.shuffle(again)
    assert same(merged([*writes, *again], policy), merged(writes, policy))
    assert same(merged([w for w in writes for _ in range(2)], policy), merged(writes, policy))


def send(twin: Twin, patch: dict[str, Any], number: int, limits: Limits, **fields: Any) -> None:
    """Reconcile one update, a second after the one before."""
    step = Send(clock=NOW + number * SECOND, patch=patch, **fields)
    reconcile(twin, step.update(), step.clock, limits)


changes = st.lists(
    st.tuples(
        objects(st.one_of(st.none(), st.sampled_from(SCALARS), st.builds(dict))),
        st.sampled_from(APPS),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([0, 0, 0, -2, -5]),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(changes, st.integers(1, 20))
def test_what_changed_since_a_version_leads_from_it_to_now(
    history: list[tuple[dict[str, Any], str, bool, int]], remembered_s: int
) -> None:
    """For every version from the horizon on; below it nothing is claimed."""
    limits = Limits(tombstone_ttl_us=remembered_s * SECOND)
    twin = Twin(TWIN_KEY)
    then = {0: {}}
    for number, (patch, writer, full, late_s) in enumerate(history):
        time = NOW + (number + late_s) * SECOND
        send(twin, patch, number, limits, section="desired", writer=writer, full=full, t=time)
        then[twin.version] = orjson.loads(orjson.dumps(twin.desired.value))
        for version, section in then.items():
            changed = changes_since(twin, version)
            if version < twin.horizon:
                assert changed is None
            else:
                assert changed is not None
                assert changed[0] == {}
                assert same(merge_patch(section, changed[1]), twin.desired.value)
    assert changes_since(twin, twin.version + 1) is None


documents = objects(st.one_of(st.sampled_from(SCALARS), st.builds(dict)))


@settings(max_examples=250, deadline=None)
@given(desired=documents, reported=documents)
def test_a_delta_is_what_is_missing_and_no_more(
    desired: dict[str, Any], reported: dict[str, Any]
) -> None:
    """Merged into what is reported it leaves nothing outstanding; any smaller part of it does."""
    twin = Twin(TWIN_KEY)
    send(twin, desired, 1, Limits(), section="desired", writer=APPS[0])
    send(twin, reported, 2, Limits(), section="reported", writer=DEVICE)
    delta = twin.delta()
    assert same(delta, outstanding(desired, reported))
    assert outstanding(desired, merge_patch(reported, delta)) == {}
    for path, value in leaves(delta):
        assert same(value_at(desired, path), value)
        assert outstanding(desired, merge_patch(reported, without(delta, path))) != {}


def without(patch: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return a patch without one leaf, and without what is empty for the lack of it."""
    name, *rest = path
    others = {other: value for other, value in patch.items() if other != name}
    inner = without(patch[name], tuple(rest)) if rest else {}
    return {**others, name: inner} if inner else others


texts = st.text(max_size=5)
json_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(
        st.lists(st.one_of(st.none(), inner), max_size=3),
        st.dictionaries(texts.filter(lambda name: not name.startswith("$")), inner, max_size=3),
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(
    earlier=changes,
    document=st.dictionaries(texts.filter(lambda name: not name.startswith("$")), json_values),
)
def test_what_is_written_whole_is_read_as_it_was(
    earlier: list[tuple[dict[str, Any], str, bool, int]], document: dict[str, Any]
) -> None:
    """JSON to twin to JSON, through the store too, whatever stood there before."""
    limits = Limits()
    twin = Twin(TWIN_KEY)
    for number, (patch, writer, full, _) in enumerate(earlier):
        send(twin, patch, number, limits, section="desired", writer=writer, full=full)
    send(twin, document, 100, limits, section="desired", writer="boss", full=True)
    assert same(twin.desired.value, document)
    state = orjson.dumps(twin.document())
    stored = StoredTwin(
        TWIN_KEY, 1, twin.version, 0, twin.exists, twin.at, state, None, encode_internals(twin)
    )
    again = decode_twin(stored)
    assert same(again.document(), twin.document())
    assert same(orjson.loads(orjson.dumps(again.document()))["desired"], document)
