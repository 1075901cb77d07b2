"""What writers get wrong: each case has a decided answer, from the bytes to the twin.

Two more are decided elsewhere: a rollback to a version that is gone (`tests/cli/test_rollback.py`)
and a typing error in the policies (`tests/test_config_policies.py`).
"""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.limits import WRITERS_PER_TWIN, YEAR_2020, Limits
from bridge.core.reconcile import Outcome, reconcile
from bridge.core.since import changes_since
from bridge.core.update import Update
from bridge.store.codec import encode_internals
from bridge.wire.inbound import decode_body
from tests.core.world import NOW, SECOND, World

LIMITS = Limits()
YEAR_2200 = 7_258_118_400_000_000
YEAR = 365 * 86_400 * SECOND


def receive(world: World, payload: str, writer: str = "anna") -> Outcome:
    """Take bytes as the bridge does, a second after the last ones."""
    world.clock += SECOND
    data = payload.encode()
    body = decode_body(data, LIMITS)
    update = Update(
        world.twin.key,
        "desired",
        writer,
        body.state,
        body.metadata,
        data,
        size_bytes=body.size_bytes,
        refusal=body.refusal,
    )
    return reconcile(world.twin, update, world.clock, LIMITS)


def stamp_of_mode(world: World) -> int:
    """The stamp that the last write of `mode` was given."""
    register = world.twin.desired.nodes["mode"]
    assert isinstance(register, tuple)
    return register[0]


@pytest.mark.parametrize(
    ("metadata", "stamp"),
    [
        pytest.param(
            '"seen": 99', NOW + SECOND, id="a version that is not there yet is the present"
        ),
        pytest.param('"seen": 99, "t": 1600000000000000', NOW + SECOND, id="and beats a clock"),
        pytest.param('"t": 1', NOW + SECOND, id="1970: the clock was never set"),
        pytest.param(f'"t": {YEAR_2020 - 1}', NOW + SECOND, id="2019: nor here"),
        pytest.param(f'"t": {YEAR_2020}', YEAR_2020, id="2020: the first that counts"),
        pytest.param(f'"t": {YEAR_2200}', NOW + SECOND, id="2200: ahead counts as none"),
        pytest.param('"t": -1', NOW + SECOND, id="negative"),
        pytest.param(f'"t": {2**53}', NOW + SECOND, id="2^53"),
        pytest.param(f'"t": {NOW}.0', NOW, id="written with a point"),
        pytest.param(f'"t": "{NOW}"', NOW, id="written as digits"),
    ],
)
def test_a_clock_that_cannot_be_right_counts_as_none(metadata: str, stamp: int) -> None:
    """The message is taken, and stamped with the time of its arrival."""
    world = World()
    outcome = receive(world, f'{{"mode": "eco", "$": {{{metadata}}}}}')
    assert outcome.changed
    assert stamp_of_mode(world) == stamp


@pytest.mark.parametrize(
    "metadata",
    [
        '"t": 1.5', '"seq": 0', '"seq": -1', f'"seq": {2**53}', f'"seq": {2**64}', '"seq": 1.5',
        '"seen": -1', f'"seen": {2**53}', f'"boot": "{"b" * 10240}", "seq": 1', '"if": -1',
    ],
)  # fmt: skip
def test_a_number_that_means_nothing_is_refused(metadata: str) -> None:
    """With 400, and nothing of the message is taken."""
    world = World()
    outcome = receive(world, f'{{"mode": "eco", "$": {{{metadata}}}}}')
    assert outcome.refusal is not None
    assert (outcome.refusal.code, outcome.refusal.error) in {
        (400, "bad_metadata"), (400, "integer_range"), (400, "bad_json"),
    }  # fmt: skip
    assert world.desired == {}


def test_the_bridge_s_own_clock_may_step_back_a_year() -> None:
    """The later message still wins, and versions and times still grow."""
    world = World()
    receive(world, '{"mode": "eco"}')
    before = world.twin.at
    world.clock -= YEAR
    assert receive(world, '{"mode": "party"}').changed
    assert (world.desired, world.twin.version) == ({"mode": "party"}, 2)
    assert world.twin.at == before + 1
    assert receive(world, '{"mode": "day"}', "bert").changed
    assert world.twin.at == before + 2


def test_a_seq_that_jumps_far_leaves_one_hole() -> None:
    """It costs nothing, and what is in it is still taken."""
    world = World()
    for seq in (1, 2**40, 2**53 - 1):
        world.send({"a": seq}, seq=seq)
    assert world.twin.open_gaps() == (0, [(2, 2**40 - 1), (2**40 + 1, 2**53 - 2)])
    assert world.send({"b": 1}, seq=77).changed


def test_a_device_that_always_says_boot_1_seq_1_is_believed() -> None:
    """The same bytes are a repeat, other ones a new life."""
    world = World()
    message = '{"n": %d, "$": {"boot": 1, "seq": 1}}'
    for number in range(20):
        assert receive(world, message % number).changed
        assert receive(world, message % number).duplicate
    assert world.desired == {"n": 19}


@pytest.mark.timeout(120)  # even where mutants are tried
def test_ten_thousand_writers_of_one_twin_take_the_room_of_a_few() -> None:
    """The least recent are forgotten, and the newest values stand."""
    world = World()
    size = 0
    for number in range(10_000):
        receive(world, f'{{"n": {number}, "$": {{"boot": "b", "seq": 1}}}}', f"writer-{number}")
        if number == 2 * WRITERS_PER_TWIN:
            size = len(encode_internals(world.twin))
    assert len(world.twin.writers) == WRITERS_PER_TWIN
    assert ("desired", "writer-9999") in world.twin.writers
    assert len(encode_internals(world.twin)) < 1.2 * size
    assert world.desired == {"n": 9999}


def test_since_a_version_above_the_present_one_is_answered_with_the_whole() -> None:
    """The reader knows another store, or a broken one."""
    world = World()
    receive(world, '{"mode": "eco"}')
    assert changes_since(world.twin, 2) is None


def test_if_above_the_present_version_is_a_mismatch() -> None:
    """So is one below the section's last change."""
    world = World()
    receive(world, '{"mode": "eco"}')
    receive(world, '{"mode": "day"}')
    answers: list[Any] = [
        receive(world, f'{{"mode": "x", "$": {{"if": {version}}}}}').refusal for version in (1, 3)
    ]
    assert [refusal.error for refusal in answers] == ["version_mismatch"] * 2
    assert receive(world, '{"mode": "x", "$": {"if": 2}}').changed
