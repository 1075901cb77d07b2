"""What a CONNACK grants (MQTT 5 section 3.2.2.3; MQTT 3.1.1 has no properties)."""

from __future__ import annotations

from typing import NamedTuple

from paho.mqtt.properties import Properties

from bridge.link.base import MAXIMUM_PACKET_IDS

# What the bridge cannot do without. Each is there unless the broker says 0.
_NEEDED = {
    "MaximumQoS": "QoS 1",
    "RetainAvailable": "retained messages",
    "WildcardSubscriptionAvailable": "wildcard subscriptions",
}


class Connack(NamedTuple):
    """What the broker granted.

    Attributes:
        session_present: It still had the session.
        receive_maximum: Publishes that it takes before it has acknowledged one.
        maximum_packet_bytes: Largest packet that it takes; None: any.
    """

    session_present: bool
    receive_maximum: int
    maximum_packet_bytes: int | None


def read_connack(session_present: bool, properties: Properties | None) -> Connack:
    """Return what was granted, with MQTT's defaults for what is not said."""
    return Connack(
        bool(session_present),
        getattr(properties, "ReceiveMaximum", MAXIMUM_PACKET_IDS),
        getattr(properties, "MaximumPacketSize", None),
    )


def missing_feature(properties: Properties | None) -> str | None:
    """Return what the broker says that it lacks and the bridge needs, or None."""
    for name, feature in _NEEDED.items():
        if getattr(properties, name, 1) == 0:
            return feature
    return None


def server_detail(properties: Properties | None) -> str:
    """Return what the broker adds in words to a refusal or a DISCONNECT; often nothing."""
    texts = (getattr(properties, name, "") for name in ("ReasonString", "ServerReference"))
    return ", ".join(text for text in texts if text)
