"""A reference: a bridge on paho-mqtt and SQLite that commits each message by itself.

paho-mqtt acknowledges a message when its callback has returned, so that what is acknowledged has
been committed.

    python -m benchmarks.bridge_per_message --port 1883 --store twins.db
"""

from __future__ import annotations

import paho.mqtt.client as mqtt

from benchmarks.paho_bridge import Table, make_client, publish_state, read_arguments


def main() -> None:
    """Run until killed."""
    port, path = read_arguments("bridge_per_message")
    table = Table(path)
    client = make_client(manual_ack=False)

    def on_message(client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        topic = message.topic
        table.begin()
        state = table.merge(topic, message.payload)
        table.commit()
        publish_state(client, topic, state)

    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()
