"""Finding the bridge and the twins' versions, and watching states, on a real broker."""

from __future__ import annotations

import asyncio
import json

import pytest

from bridge.errors import LinkLost
from device_sim.broker import Broker
from device_sim.finder import Finder
from device_sim.mqtt311_connection import Mqtt311Network
from device_sim.observer import Observer
from tests.device_sim.recorder import Recorder
from tests.device_sim.responder import Responder
from tests.device_sim.waiting import PATIENCE_S, wait_until
from tests.support.mosquitto import Mosquitto


async def test_versions_are_found_for_more_devices_than_are_asked_for_at_a_time(
    mosquitto: Mosquitto,
) -> None:
    """A twin that never was has version 0."""
    with Responder(mosquitto.port) as responder, Recorder(mosquitto.port, "nothing") as device:
        device.publish("sync/d-7/report", b'{"a":1}')
        device.publish("sync/d-7/report", b'{"a":2,"$":{"boot":"b","seq":1}}')
        await wait_until(lambda: "d-7" in responder.twins and responder.twins["d-7"].version == 2)
        async with Mqtt311Network(Broker(port=mosquitto.port)) as network:
            found = await Finder(network, "sync", PATIENCE_S).find(f"d-{n}" for n in range(500))
    assert len(found) == 500
    assert {device: version for device, version in found.items() if version} == {"d-7": 2}


async def test_a_bridge_that_starts_later_is_found(mosquitto: Mosquitto) -> None:
    """The first question went to nobody; it is asked again."""
    async with Mqtt311Network(Broker(port=mosquitto.port)) as network:
        with Recorder(mosquitto.port, "sync/+/get/+") as questions:
            finding = asyncio.create_task(Finder(network, "sync", PATIENCE_S).find(["d"]))
            await wait_until(lambda: bool(questions.messages))
            with Responder(mosquitto.port):
                assert await asyncio.wait_for(finding, PATIENCE_S) == {"d": 0}


async def test_a_bridge_that_is_not_ready_is_asked_again(mosquitto: Mosquitto) -> None:
    """503 is no answer yet."""
    with Responder(mosquitto.port) as responder, Recorder(mosquitto.port, "nothing") as device:
        responder.not_ready = 1
        device.publish("sync/d/report", b'{"a":1}')
        await wait_until(lambda: "d" in responder.twins)
        async with Mqtt311Network(Broker(port=mosquitto.port)) as network:
            assert await Finder(network, "sync", PATIENCE_S).find(["d"]) == {"d": 1}


async def test_a_broker_that_goes_meanwhile_is_an_error(mosquitto: Mosquitto) -> None:
    """Not a bridge that is silent."""
    async with Mqtt311Network(Broker(port=mosquitto.port)) as network:
        with Recorder(mosquitto.port, "sync/+/get/+") as questions:
            finding = asyncio.create_task(Finder(network, "sync", PATIENCE_S).find(["d"]))
            await wait_until(lambda: bool(questions.messages))
        mosquitto.kill()
        with pytest.raises(LinkLost, match="closed"):
            await asyncio.wait_for(finding, PATIENCE_S)


async def test_a_state_that_was_missed_can_be_fetched_again(mosquitto: Mosquitto) -> None:
    """At QoS 0 a broker may drop one; the retained one is still there."""
    touched: list[str] = []
    observer = Observer("sync", ["d"], clock=lambda: 0.0, touched=touched.append)
    state = {"version": 3, "at": 9, "reported": {"a": 1}, "desired": {}, "online": True}
    with Recorder(mosquitto.port, "nothing") as bridge:
        bridge.publish("sync/d/state", json.dumps(state).encode(), retain=True)
        bridge.publish("sync/other/state", b"{}", retain=True)
        async with Mqtt311Network(Broker(port=mosquitto.port)) as network:
            observer.up(await network.connect(observer.client()))
            await wait_until(lambda: touched == ["d"])
            watch = observer.twins["d"]
            assert (watch.version, watch.reported, watch.online, watch.at) == (3, {"a": 1}, True, 9)
            watch.version = 2
            observer.look_again("d")
            await wait_until(lambda: watch.version == 3)
            bridge.publish("sync/d/state", b"", retain=True)
            await wait_until(lambda: watch.reported == {})
            observer.down()
            observer.look_again("d")
