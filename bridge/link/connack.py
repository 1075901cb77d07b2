"""What a CONNACK grants (MQTT 5 section 3.2.2.3; MQTT 3.1.1 has no properties)."""

from __future__ import annotations

from typing import NamedTuple

import mqtt5

from bridge.link.base import MAXIMUM_PACKET_IDS


class Connack(NamedTuple):
    """What the broker granted.

    Attributes:
        session_present: It still had the session.
        receive_maximum: Publishes that it takes before it has acknowledged one.
        maximum_packet_bytes: Largest packet that it takes; None: any.
        topic_aliases: How many topics may be given a number.
        keepalive_s: The keep alive that it sets in place of ours; None: none.
    """

    session_present: bool
    receive_maximum: int = MAXIMUM_PACKET_IDS
    maximum_packet_bytes: int | None = None
    topic_aliases: int = 0
    keepalive_s: int | None = None


def read_connack(packet: mqtt5.ConnAckPacket) -> Connack:
    """Return what was granted."""
    return Connack(
        packet.session_present,
        packet.receive_max,
        packet.max_packet_size,
        packet.topic_alias_max,
        packet.server_keep_alive,
    )


def missing_feature(packet: mqtt5.ConnAckPacket) -> str | None:
    """Return what the broker says that it lacks and the bridge needs, or None."""
    if packet.max_qos == mqtt5.QoS.AT_MOST_ONCE:
        return "QoS 1"
    if not packet.retain_available:
        return "retained messages"
    if not packet.wildcard_subscription_available:
        return "wildcard subscriptions"
    return None


def server_detail(packet: mqtt5.ConnAckPacket | mqtt5.DisconnectPacket) -> str:
    """Return what the broker adds in words to a refusal or a DISCONNECT; often nothing."""
    return ", ".join(text for text in (packet.reason_str, packet.server_reference) if text)


CONNACK_3_HEADER = b"\x20\x02"
"""How the CONNACK of a broker begins that speaks only MQTT 3 (3.1.1 section 3.2)."""

CONNACK_3_BYTES = 4

_REASON_OF_RETURN_CODE = {1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}


def reason_of_return_code(code: int) -> int:
    """Return the reason code of MQTT 5 that a return code of MQTT 3.1.1 (section 3.2.2.3) is."""
    return _REASON_OF_RETURN_CODE.get(code, 0x80)
