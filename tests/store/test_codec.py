"""A twin's memory survives the store."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.reconcile import delete, reconcile, reconcile_presence
from bridge.core.refusal import Refusal
from bridge.core.section import same
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Delivery, Metadata, Presence, Update
from bridge.errors import StoreCorrupt
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin, encode_internals, raise_horizon
from tests.core.test_tree import patches

NOW = 1_795_000_000_000_000


def stored(twin: Twin) -> StoredTwin:
    """The twin's row."""
    state = orjson.dumps(twin.document()) if twin.exists else b""
    internals = encode_internals(twin)
    return StoredTwin(twin.key, 1, twin.version, 0, twin.exists, twin.at, state, None, internals)


def everything(value: Any) -> Any:
    """All attributes of an object of the core, as comparable plain values."""
    if isinstance(value, dict):
        return [(key, everything(member)) for key, member in value.items()]
    if isinstance(value, list | tuple):
        return [everything(member) for member in value]
    names = getattr(type(value), "__slots__", None)
    if names is None:
        return (type(value).__name__, value)
    return {
        name: everything(getattr(value, name))
        for name in names
        if name not in ("bytes_at_most", "keys_at_most")
    }


def lived(steps: list[tuple[dict[str, Any], bool]], chance: random.Random) -> Twin:
    """A twin with a past: numbered and plain messages, refusals, presence, a deletion."""
    twin = Twin(TwinKey("lamp-1", ""))
    for number, (patch, full) in enumerate(steps):
        section, writer = chance.choice([("reported", "lamp-1"), ("desired", "app")])
        metadata = Metadata(full=full)
        if chance.random() < 0.6:
            metadata = metadata._replace(boot=chance.choice(["b", 7]), seq=chance.randrange(1, 9))
        refusal = Refusal(400, "too_deep", "…") if chance.random() < 0.1 else None
        update = Update(
            twin.key,
            section,  # type: ignore[arg-type]
            writer,
            patch,
            metadata,
            b"%d" % number,
            Delivery(chance.randrange(3), False, chance.random() < 0.3),
            10,
            refusal,
        )
        reconcile(twin, update, NOW + number, Limits())
        if chance.random() < 0.2:
            reconcile_presence(twin, Presence(chance.random() < 0.5, number), NOW + number)
        if chance.random() < 0.05:
            delete(twin, "app", NOW + number)
    return twin


@given(st.lists(st.tuples(patches, st.booleans()), max_size=12), st.randoms())
@settings(max_examples=400, deadline=None)
def test_a_twin_comes_back_from_the_store_as_it_was(
    steps: list[tuple[dict[str, Any], bool]], chance: random.Random
) -> None:
    """Every register, tombstone, writer and refusal, and the types of all values."""
    twin = lived(steps, chance)
    again = decode_twin(stored(twin))
    assert everything(again) == everything(twin)
    assert same(again.reported.value, twin.reported.value)


def test_bounds_on_size_hold_after_loading() -> None:
    """They may be too high, never too low."""
    twin = lived([({"a": {"b": 1, "c": "x"}, "d": []}, False)] * 3, random.Random(1))
    again = decode_twin(stored(twin))
    assert again.bytes_at_most >= len(stored(twin).state)
    assert again.keys_at_most >= 3


def test_a_restore_outdates_what_any_reader_has_seen_and_changes_nothing_else() -> None:
    """Horizon and sections' versions are raised, and never lowered."""
    twin = lived([({"a": {"b": 1}}, False), ({"a": 2}, False)], random.Random(3))
    row = stored(twin)
    raised = decode_twin(row._replace(internals=raise_horizon(row.internals, 1 << 20)))
    assert raised.horizon == 1 << 20
    twin.horizon = twin.reported.version = twin.desired.version = 1 << 20
    assert everything(raised) == everything(twin)
    lower = decode_twin(row._replace(internals=raise_horizon(stored(twin).internals, 5)))
    assert everything(lower) == everything(twin)


@pytest.mark.parametrize("internals", [b"", b"\x00", b"\x9c" + b"\x00" * 12, b"\xc1", b"\xff" * 9])
def test_damaged_memory_is_an_error_that_names_the_twin(internals: bytes) -> None:
    """And not a wrong twin."""
    row = stored(Twin(TwinKey("lamp-1")))._replace(internals=internals)
    with pytest.raises(StoreCorrupt, match="lamp-1"):
        decode_twin(row)
