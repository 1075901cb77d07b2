"""The reference: echo each report to the retained state topic, with paho-mqtt and nothing else.

It does not parse, merge, number or store, and acknowledges what it has not published. It is set up
as fast as paho-mqtt gets: no window of its own (a finite one is searched at each PUBACK), and no
Nagle delay.

    python -m benchmarks.echo_paho --port 1883 --prefix sync
"""

from __future__ import annotations

import argparse
import socket

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def main() -> None:
    """Echo until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", default="sync")
    given = parser.parse_args()
    report_filter = f"{given.prefix}/+/report"

    client = mqtt.Client(CallbackAPIVersion.VERSION2, "echo", clean_session=True)
    client.max_inflight_messages_set(0)

    def on_socket_open(_client: mqtt.Client, _userdata: object, opened: mqtt.SocketLike) -> None:
        if isinstance(opened, socket.socket):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_connect(client: mqtt.Client, *_: object) -> None:
        client.subscribe(report_filter, qos=1)

    def on_message(client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        topic = message.topic.removesuffix("report") + "state"
        client.publish(topic, message.payload, qos=1, retain=True)

    client.on_socket_open = on_socket_open
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect("127.0.0.1", given.port)
    client.loop_forever()


if __name__ == "__main__":
    main()
