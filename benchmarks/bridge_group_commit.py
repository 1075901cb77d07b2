"""A reference: a bridge on paho-mqtt and SQLite that commits what has arrived, and then answers.

paho-mqtt's thread receives; the main thread takes up to 256 messages that are there, commits them
in one transaction, publishes each changed twin once, and acknowledges by hand.

    python -m benchmarks.bridge_group_commit --port 1883 --store twins.db
"""

from __future__ import annotations

import queue
import threading
from typing import Final

import paho.mqtt.client as mqtt

from benchmarks.paho_bridge import Table, make_client, publish_state, read_arguments

BATCH_MESSAGES: Final = 256

WAITING_MESSAGES: Final = 1_000_000
"""Messages that may wait for the main thread: more than a run sends. paho-mqtt's thread must not
wait for the main thread, which waits for the PUBACKs that it reads; and Mosquitto 2.0.11 sends far
more ahead than its `max_inflight_messages`."""

OUTSTANDING_STATES: Final = 1000
"""States that may wait for the broker's PUBACK. paho-mqtt drops what it has no packet id for."""

Waiting = queue.Queue[mqtt.MQTTMessage]


def take_batch(waiting: Waiting) -> list[mqtt.MQTTMessage]:
    """Wait for a message, and return it with those that are there already."""
    batch = [waiting.get()]
    while len(batch) < BATCH_MESSAGES:
        try:
            batch.append(waiting.get_nowait())
        except queue.Empty:
            break
    return batch


def main() -> None:
    """Run until killed."""
    port, path = read_arguments("bridge_group_commit")
    table = Table(path)
    waiting: Waiting = queue.Queue(WAITING_MESSAGES)
    client = make_client(manual_ack=True)

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        waiting.put(message)

    room = threading.Semaphore(OUTSTANDING_STATES)

    def on_publish(*_: object) -> None:
        room.release()

    client.on_message = on_message
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_start()
    while True:
        batch = take_batch(waiting)
        table.begin()
        states = {message.topic: table.merge(message.topic, message.payload) for message in batch}
        table.commit()
        for topic, state in states.items():
            room.acquire()
            publish_state(client, topic, state)
        for message in batch:
            client.ack(message.mid, message.qos)


if __name__ == "__main__":
    main()
