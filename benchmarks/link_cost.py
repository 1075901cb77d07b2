"""Messages received and acknowledged, and publishes acknowledged, each second through the link.

Starts a Mosquitto of its own on loopback. The rate is of one machine on which the broker and the
sender run too; the CPU time is that of the link, so it says more.

    python -m benchmarks.link_cost --messages 50000
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, get_args

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.errors import LinkError
from bridge.link.base import LinkSettings, ProtocolVersion, Publication, Session, Subscription
from bridge.link.broker_link import BrokerLink
from tests.support.mosquitto import Mosquitto

PAYLOAD_BYTES = 150
TOPICS = 200
BATCH_MESSAGES = 2000
BATCH_BYTES = 4 * 1024 * 1024
SENDER_WINDOW = 500


class _Result(NamedTuple):
    per_s: float
    cpu_us: float


class _Listener:
    def __init__(self) -> None:
        self.ready = asyncio.Event()

    def connected(self, _session: Session) -> None:
        self.ready.set()

    def disconnected(self, error: LinkError) -> None:
        print(f"disconnected: {error}")


def _send(port: int, messages: int) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    client.max_inflight_messages_set(SENDER_WINDOW)
    client.connect("127.0.0.1", port)
    client.loop_start()
    payload = b"x" * PAYLOAD_BYTES
    sent = [client.publish(f"in/{n % TOPICS}", payload, qos=1) for n in range(messages)]
    sent[-1].wait_for_publish()
    client.disconnect()
    client.loop_stop()


async def _receive(link: BrokerLink, port: int, messages: int) -> _Result:
    sender = multiprocessing.get_context("spawn").Process(target=_send, args=(port, messages))
    sender.start()
    received = await link.receive(BATCH_MESSAGES, BATCH_BYTES)
    began, cpu_began = time.perf_counter(), time.process_time()
    count = len(received)
    while True:
        link.acknowledge(received)
        if count >= messages:
            break
        received = await link.receive(BATCH_MESSAGES, BATCH_BYTES)
        count += len(received)
    result = _result(messages, began, cpu_began)
    await asyncio.to_thread(sender.join)
    return result


async def _publish(link: BrokerLink, messages: int) -> _Result:
    payload = b"x" * PAYLOAD_BYTES
    began, cpu_began = time.perf_counter(), time.process_time()
    answered = asyncio.Event()
    sent = 0
    while sent < messages:
        answered.clear()
        for _ in range(min(link.publish_slots, messages - sent)):
            topic = f"out/{sent % TOPICS}/state"
            last = link.publish(Publication(topic, payload, True, "application/json"))
            last.add_done_callback(lambda _: answered.set())
            sent += 1
        await answered.wait()
    await last
    return _result(messages, began, cpu_began)


def _result(messages: int, began: float, cpu_began: float) -> _Result:
    return _Result(
        messages / (time.perf_counter() - began),
        (time.process_time() - cpu_began) / messages * 1e6,
    )


async def _measure(port: int, protocol: ProtocolVersion, messages: int) -> None:
    settings = LinkSettings(
        "127.0.0.1", port, "benchmark", (Subscription("in/+"),), protocol=protocol
    )
    link = BrokerLink(settings)
    listener = _Listener()
    await link.start(listener)
    await listener.ready.wait()
    received = await _receive(link, port, messages)
    published = await _publish(link, messages)
    await link.stop()
    for what, result in (("received and acknowledged", received), ("published", published)):
        print(
            f"MQTT {protocol}: {result.per_s:8,.0f} messages/s {what}, "
            f"{result.cpu_us:5.1f} us CPU each"
        )


def main() -> None:
    """Measure both versions of MQTT and print a line for each direction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=50_000)
    messages = parser.parse_args().messages
    for protocol in get_args(ProtocolVersion):
        with (
            tempfile.TemporaryDirectory() as directory,
            Mosquitto(Path(directory), extra="max_inflight_messages 1000") as broker,
        ):
            asyncio.run(_measure(broker.port, protocol, messages))


if __name__ == "__main__":
    main()
