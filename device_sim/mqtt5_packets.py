"""The packets of MQTT 5 that a client of the simulator sends, as bytes."""

from __future__ import annotations

from collections.abc import Sequence

import mqtt5

from device_sim.broker import Broker
from device_sim.wire import KEEPALIVE_S, Client, Outgoing


def connect_packet(client: Client, broker: Broker, packet_bytes_max: int) -> bytes:
    """Return a CONNECT: who it is, its login, its session and its last will."""
    will = client.will
    return mqtt5.ConnectPacket(
        client.client_id,
        username=broker.username,
        password=broker.password.encode() if broker.password is not None else None,
        clean_start=client.clean,
        will=None
        if will is None
        else mqtt5.Will(
            will.topic, payload=will.payload, qos=mqtt5.QoS(will.qos), retain=will.retain
        ),
        keep_alive=KEEPALIVE_S,
        session_expiry_interval=client.session_expiry_s,
        max_packet_size=packet_bytes_max,
    ).write()


def subscribe_packet(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """Return a SUBSCRIBE to topic filters with their QoS."""
    wanted = [
        mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS(qos), retain_as_published=False)
        for pattern, qos in filters
    ]
    return mqtt5.SubscribePacket(packet_id, wanted).write()


def publish_packet(message: Outgoing, packet_id: int | None) -> bytes:
    """Return a PUBLISH; at QoS 1 it has a packet id."""
    return mqtt5.PublishPacket(
        message.topic,
        message.payload,
        qos=mqtt5.QoS(message.qos),
        retain=message.retain,
        packet_id=packet_id,
    ).write()
