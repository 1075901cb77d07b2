"""The observer of the benchmark suite notices what is wrong."""

from __future__ import annotations

import asyncio

import mqtt5
import orjson
import pytest

from benchmarks.payloads import FIRST_NUMBER
from benchmarks.watcher import FAULTS_MAX, Watcher

TOPIC = "sync/device-0000003/state"


def state(number: int, version: int, *, is_twin: bool = True) -> bytes:
    """Return what a peer publishes."""
    content: dict[str, object] = {"n": FIRST_NUMBER + number}
    document = {"version": version, "at": 0, "reported": content} if is_twin else content
    return orjson.dumps(document)


@pytest.mark.parametrize("is_twin", [True, False])
async def test_a_state_that_goes_back_is_wrong(*, is_twin: bool) -> None:
    """Of twins and of echoes."""
    watcher = Watcher(10, is_twin=is_twin)
    for number in (2, 1):
        watcher.take(TOPIC, state(number, 1 + number, is_twin=is_twin))
    assert any(
        f"update {FIRST_NUMBER + 1} came after update {FIRST_NUMBER + 2}" in fault
        for fault in watcher.faults
    )


async def test_a_version_that_goes_back_is_wrong() -> None:
    """Even where the update is a newer one."""
    watcher = Watcher(10, is_twin=True)
    watcher.take(TOPIC, state(1, 7))
    watcher.take(TOPIC, state(2, 6))
    assert watcher.faults == ["device 3: version 6 came after version 7"]


async def test_the_same_version_may_come_again_only_as_it_was() -> None:
    """A publish that was not acknowledged is repeated after a reconnect; it may say nothing new."""
    watcher = Watcher(10, is_twin=True)
    for _ in range(2):
        watcher.take(TOPIC, state(1, 7))
    assert watcher.faults == []
    assert watcher.repeated == 1
    watcher.take(TOPIC, state(2, 7))
    assert watcher.faults == ["device 3: version 7 came again with another content"]


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"n":1', b'{"reported":{"n":100001}}'])
async def test_a_state_that_cannot_be_read_is_wrong(payload: bytes) -> None:
    """It is not passed over, and bounded are the faults that are kept."""
    watcher = Watcher(10, is_twin=True)
    for _ in range(FAULTS_MAX + 1):
        watcher.take(TOPIC, payload)
    assert len(watcher.faults) == FAULTS_MAX
    assert "cannot be read" in watcher.faults[0]


async def test_a_device_that_is_not_of_the_fleet_is_wrong() -> None:
    """Its number is beyond the last."""
    watcher = Watcher(3, is_twin=True)
    watcher.take(TOPIC, state(1, 1))
    assert "cannot be read" in watcher.faults[0]


async def test_states_are_found_however_the_stream_is_cut() -> None:
    """Byte by byte, as in one piece; and it is complete with the last device."""
    stream = b"".join(
        mqtt5.PublishPacket(f"sync/device-{device:07}/state", state(5, 2)).write()
        for device in range(4)
    )
    for size in (1, 7, len(stream)):
        watcher = Watcher(4, is_twin=True)
        watcher.expect(range(4), FIRST_NUMBER + 5)
        complete = asyncio.ensure_future(watcher.complete(60))
        for position in range(0, len(stream), size):
            await asyncio.sleep(0)
            assert not complete.done()
            watcher.data_received(stream[position : position + size])
        await complete
        assert watcher.states == 4
        assert sorted(watcher.last) == [0, 1, 2, 3]
        assert watcher.faults == []


async def test_an_update_that_never_shows_ends_the_wait() -> None:
    """Once nothing comes any more, and not before."""
    watcher = Watcher(2, is_twin=True)
    watcher.expect(range(2), FIRST_NUMBER + 1)
    watcher.take(TOPIC.replace("3", "1"), state(1, 1))
    with pytest.raises(TimeoutError, match="1 devices never showed update 100001"):
        await watcher.complete(0.05)


async def test_what_arrives_at_once_is_answered_at_once() -> None:
    """All devices that advanced in a read are told of first, and then that it has ended."""
    watcher = Watcher(10, is_twin=True)
    told: list[object] = []
    watcher.on_advance = lambda device, before, number: told.append((device, before, number))
    watcher.on_read = lambda: told.append("read")
    watcher.data_received(
        b"".join(
            mqtt5.PublishPacket(f"sync/device-{device:07}/state", state(5, 2)).write()
            for device in (2, 7)
        )
    )
    assert told == [(2, 0, FIRST_NUMBER + 5), (7, 0, FIRST_NUMBER + 5), "read"]
