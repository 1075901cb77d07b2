"""A twin's memory survives the store."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.reconcile import delete, reconcile, reconcile_presence
from bridge.core.refusal import Refusal
from bridge.core.section import Node, same
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Delivery, Metadata, Presence, Update
from bridge.errors import StoreCorrupt
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin, encode_internals, raise_horizon
from tests.core.test_tree import patches

NOW = 1_795_000_000_000_000

POLICIES = Policies.parse(
    {
        "*": {
            "reported.a": "sum",
            "reported.b": "max",
            "reported.c.*": "device",
            "desired.a": "union",
            "desired.b.**": "app",
            "desired.c.**": "min",
        }
    },
    Limits(),
)


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
        if name not in ("bytes_at_most", "keys_at_most", "cells_at_most", "rules")
    }


def lived(
    steps: list[tuple[dict[str, Any], bool]],
    chance: random.Random,
    policies: Policies = NO_POLICIES,
) -> Twin:
    """A twin with a past: numbered and plain messages, refusals, presence, a deletion."""
    twin = Twin(TwinKey("lamp-1", ""), policies)
    for number, (patch, full) in enumerate(steps):
        section = chance.choice(["reported", "desired"])
        writer = chance.choice(["lamp-1", "lamp-1", "app", "another"])
        metadata = Metadata(full=full, seen=chance.choice([None, chance.randrange(20)]))
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


numbers = st.one_of(st.integers(-9, 9), st.floats(-9, 9), st.none())
counts = st.fixed_dictionaries({}, optional={"a": numbers, "b": numbers, "c": st.just({"x": 1})})
lists = st.fixed_dictionaries(
    {}, optional={"a": st.lists(st.sampled_from([1, True, {"k": [1]}]), max_size=3)}
)
histories = st.lists(st.tuples(st.one_of(patches, counts, lists), st.booleans()), max_size=12)


@pytest.mark.parametrize("policies", [NO_POLICIES, POLICIES], ids=["latest", "policies"])
@given(steps=histories, chance=st.randoms())
@settings(max_examples=400, deadline=None)
def test_a_twin_comes_back_from_the_store_as_it_was(
    policies: Policies, steps: list[tuple[dict[str, Any], bool]], chance: random.Random
) -> None:
    """Every register, cell, tombstone, writer and refusal, in their order, and values' types."""
    twin = lived(steps, chance, policies)
    again = decode_twin(stored(twin), policies)
    assert everything(again) == everything(twin)
    assert same(again.reported.value, twin.reported.value)
    assert again.reported.rules is twin.reported.rules


def test_policies_keep_what_they_know_of_writers() -> None:
    """The test above has cells to look at: totals by writer and boot, classes, elements."""
    twin = Twin(TwinKey("lamp-1"), POLICIES)
    for number, (section, patch) in enumerate(
        [("reported", {"a": 3, "b": 2.5, "c": {"x": 1}}), ("desired", {"a": [1, {"k": [2]}]})]
    ):
        update = Update(
            twin.key,
            section,  # type: ignore[arg-type]
            "lamp-1",
            patch,  # type: ignore[arg-type]
            Metadata(boot="b", seq=1, seen=0),
            b"",
        )
        assert reconcile(twin, update, NOW + number, Limits()).changed
    again = decode_twin(stored(twin), POLICIES)
    cells = [
        node.cell
        for node in (*again.reported.nodes.values(), *again.desired.nodes.values())
        if isinstance(node, Node) and node.cell
    ]
    assert [cell.policy for cell in cells] == ["sum", "max", "union"]
    assert [cell.value() for cell in cells] == [3, 2.5, [1, {"k": [2]}]]
    assert everything(again) == everything(twin)


def test_what_one_message_wrote_is_one_register_after_loading() -> None:
    """However many fields it wrote; and its writer is one text in all twins."""
    twins = [
        decode_twin(stored(lived([({"a": 1, "b": {"c": 2, "d": 3}}, False)], random.Random(5))))
        for _ in range(2)
    ]
    registers = [[*twin.reported.registers(), *twin.desired.registers()] for twin in twins]
    assert len(registers[0]) == 3
    assert len({id(register) for register in registers[0]}) == 1
    assert registers[0][0][1] is registers[1][0][1]


def test_twin_of_format_1_is_read() -> None:
    """As the first release wrote it: hidden values, removals, markers, gaps, refusals, digests."""
    row = format_1()
    twin = decode_twin(row)
    assert (twin.now, twin.online, twin.boots) == (NOW + 9, True, ["9f31", "a0"])
    assert twin.reported.value == {
        "on": True, "level": 0.0, "color": {"r": 255, "b": 3}, "empty": {}, "modes": {"x": 1},
    }  # fmt: skip
    assert twin.reported.nodes["on"] == (NOW + 1, "lamp-1", 1, 1, 1, "lamp-1")
    modes = twin.reported.nodes["modes"]
    assert isinstance(modes, Node)
    assert modes.register == (NOW + 1, "lamp-1", 1, 1, 6, "lamp-1")
    assert modes.children == {"x": (NOW + 6, "lamp-1", 2, 1, 6, "lamp-1")}
    assert twin.reported.tombstones == {
        ("color", "g"): NOW + 4, ("gone",): NOW + 5, ("modes",): NOW + 6,
    }  # fmt: skip
    assert twin.desired.root == (NOW + 8, "app", 0, NOW + 8, 6, "app")
    assert [boot.gaps for boot in twin.writers["reported", "lamp-1"].boots] == [
        ((2, 4, NOW + 1, NOW + 4),),
        (),
    ]
    assert twin.refusals == {("reported", "lamp-1", 2, 2): Refusal(400, "too_deep", "…")}
    assert list(twin.retained) == [("reported", "lamp-1")]
    assert twin.deliveries == b""  # Those of before are not made any more.


def test_twin_of_format_1_is_written_in_the_present_format() -> None:
    """Nothing of it gets lost, and it takes less."""
    row = format_1()
    again = row._replace(internals=encode_internals(decode_twin(row)))
    assert everything(decode_twin(again)) == everything(decode_twin(row))
    assert len(again.internals) < len(row.internals) / 2


def format_1() -> StoredTwin:
    """The row of a twin that the first release wrote."""
    path = Path(__file__).parent / "data" / "twin-format-1.json"
    captured = orjson.loads(path.read_bytes())
    return StoredTwin(
        TwinKey(captured["device"]),
        9,
        captured["version"],
        0,
        True,
        captured["at"],
        captured["state"].encode(),
        None,
        base64.b64decode(captured["internals"]),
    )


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


def test_a_restore_outdates_twins_of_format_1_too() -> None:
    """A backup may be older than the program."""
    row = format_1()
    twin = decode_twin(row)
    raised = decode_twin(row._replace(internals=raise_horizon(row.internals, 1 << 20)))
    twin.horizon = twin.reported.version = twin.desired.version = 1 << 20
    assert everything(raised) == everything(twin)


@pytest.mark.parametrize("internals", [b"", b"\x00", b"\x9c" + b"\x00" * 12, b"\xc1", b"\xff" * 9])
def test_damaged_memory_is_an_error_that_names_the_twin(internals: bytes) -> None:
    """And not a wrong twin."""
    row = stored(Twin(TwinKey("lamp-1")))._replace(internals=internals)
    with pytest.raises(StoreCorrupt, match="lamp-1"):
        decode_twin(row)
    with pytest.raises(ValueError, match=r"."):
        raise_horizon(internals, 1)


@given(data=st.data(), chance=st.randoms())
@settings(max_examples=500, deadline=None)
def test_any_damage_is_an_error_of_ours(data: st.DataObject, chance: random.Random) -> None:
    """A byte that has changed, or an end that is missing: a twin, or that error."""
    steps = [({"a": 1, "b": {"c": 2}}, False), ({"a": None, "b": {"c": 1}}, True)]
    row = stored(lived(steps, chance, POLICIES))
    damaged = bytearray(row.internals)
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(damaged), at]))
    try:
        decode_twin(row._replace(internals=bytes(damaged[:cut])), POLICIES)
    except StoreCorrupt as error:
        assert "lamp-1" in error.message
