"""Which version of MQTT a run speaks."""

from __future__ import annotations

import asyncio
import secrets
from typing import Literal, TypeAlias

from bridge.errors import ConnectRefused
from device_sim.broker import Broker
from device_sim.mqtt5_network import Mqtt5Network
from device_sim.mqtt311_connection import Mqtt311Network
from device_sim.wire import Client, Network

MqttVersion: TypeAlias = Literal["auto", "5", "3.1.1"]

PROBE_TIMEOUT_S = 2.0
"""A broker that does not know MQTT 5 may leave the question without an answer."""


async def open_network(broker: Broker, version: MqttVersion) -> Network:
    """Return the network for a version; it is not entered yet.

    With `auto` a client asks the broker. Whatever goes wrong there is left to the first real
    connection to tell.
    """
    if version == "3.1.1" or (version == "auto" and not await _speaks_5(broker)):
        return Mqtt311Network(broker)
    return Mqtt5Network(broker)


async def _speaks_5(broker: Broker) -> bool:
    client = Client(f"device-sim-probe-{secrets.token_hex(4)}", (), _ignore)
    try:
        async with Mqtt5Network(broker) as network, asyncio.timeout(PROBE_TIMEOUT_S):
            await network.connect(client)
    except (ConnectRefused, TimeoutError):
        return False
    return True


def _ignore(topic: str, payload: bytes) -> None:
    """Take a message and do nothing."""
