"""How the bridge connects: its subscriptions, its session, its login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.config import BrokerConfig
from bridge.core.topics import TopicGrammar
from bridge.link.base import LinkSettings, Publication, Session, Subscription
from bridge.link.tls import TlsSettings
from bridge.logs import get_logger

PACKET_BYTES_MIN: Final = 1024 * 1024
"""The broker may send packets of this size at least: what is too large can then be refused by us,
with a reason. What it may not send it drops without a word, although it was acknowledged."""

AROUND_PAYLOAD_BYTES: Final = 256 * 1024
"""Beside its payload a PUBLISH has a topic and properties, of at most 65,535 bytes each."""

_log = get_logger("bridge")


def make_link_settings(
    broker: BrokerConfig,
    host: str,
    port: int,
    *,
    username: str | None,
    client_id: str,
    payload_bytes: int,
    grammar: TopicGrammar,
    enrols: bool,
    will: Callable[[], Publication],
) -> LinkSettings:
    """Return how to connect to the broker at this address.

    Args:
        broker: The settings of the connection.
        host: The broker's.
        port: The broker's.
        username: User to log in as, or None.
        client_id: What the broker ties the session to.
        payload_bytes: Largest payload that is taken.
        grammar: The topics.
        enrols: Listen also to devices that ask for their keys.
        will: Makes the last will.

    Raises:
        ConfigError: The password, or a file for TLS, cannot be used.
    """
    inbound = grammar.filters() + ((grammar.enrol_filter(),) if enrols else ())
    filters = [Subscription(f, qos=1, retain_handling=1) for f in inbound]
    # At QoS 0 a broker replays all retained messages, at QoS 1 it may stop short; and at every
    # connection, because whatever changed while the bridge was away is to be known.
    filters += [
        Subscription(f, qos=0, retain_handling=0)
        for f in (grammar.presence_filter(), grammar.status)
    ]
    return LinkSettings(
        host=host,
        port=port,
        client_id=client_id,
        subscriptions=tuple(filters),
        username=username,
        password=broker.read_password(),
        will=will,
        # amqtt does not answer in MQTT 5 at all, and would cost the whole timeout.
        protocol="auto" if broker.address else "3.1.1",
        keepalive_s=broker.keepalive_s,
        connect_timeout_s=broker.connect_timeout_s,
        session_expiry_s=broker.session_expiry_s,
        receive_maximum=broker.receive_maximum,
        publish_window=broker.publish_window,
        maximum_packet_bytes=max(PACKET_BYTES_MIN, payload_bytes + AROUND_PAYLOAD_BYTES),
        tls=_tls_settings(broker),
        websocket_path=broker.websocket_path,
    )


def report_refused_filters(session: Session) -> None:
    """Log each subscription that the broker has refused."""
    for topic_filter, reason in session.refused_filters:
        _log.error(
            "the broker refused a subscription: such messages will not arrive",
            filter=topic_filter,
            reason=reason,
            hint="allow the bridge's user to read it",
        )


def _tls_settings(broker: BrokerConfig) -> TlsSettings | None:
    if not broker.tls:
        return None
    settings = TlsSettings(
        broker.ca_file, broker.certificate_file, broker.key_file, broker.server_name
    )
    # Later, what is wrong with the files may pass; at the start it is an error of whoever starts.
    settings.make_context()
    return settings
