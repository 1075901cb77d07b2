"""Why a connection was refused or ended: one message, one hint, and whether to try again.

The numbers are MQTT 5's reason codes (section 2.4); they mean the same in CONNACK and in
DISCONNECT. paho-mqtt translates the return codes of MQTT 3.1.1 into them.

The link keeps trying for everything that may pass by itself. It gives up where only a person can
help (a wrong password), and where going on would do harm: a session that was taken over, because
two bridges that take it from each other both lose messages.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple

from bridge.errors import ConnectRefused, LinkLost
from bridge.link.transport_reasons import tls_failed

UNSUPPORTED_PROTOCOL_VERSION = 0x84
"""Reason code of a broker that does not speak our version of MQTT."""

PROTOCOL_ERROR = 0x82
"""Reason code of a packet that breaks the protocol; paho-mqtt uses it for what it receives."""

KEEP_ALIVE_TIMEOUT = 0x8D
"""Reason code of silence; paho-mqtt uses it for a broker that does not answer PINGREQ."""

FIRST_FAILURE = 0x80
"""Reason codes from here on are failures (MQTT 5 section 2.4)."""

_DETAIL_CHARACTERS = 200
"""Longest text of a broker's own that is passed on in a message."""


class Reason(NamedTuple):
    """What one reason code means for us.

    Attributes:
        name: As MQTT 5 names it, in lower case.
        recoverable: The link tries again.
        hint: What a person can do about it.
    """

    name: str
    recoverable: bool
    hint: str


_LOGIN = "check broker.username and the password, and that the broker knows this user"
_RIGHTS = "check what the broker's access control lists allow the bridge's user"
_CLIENT_ID = "set broker.client_id to an id that the broker accepts"
_BROKER_LOG = "the broker's log may say more"
_WAIT = "the broker asks for patience; nothing to do unless it goes on"
_FEATURE = "use a broker that offers QoS 1, retained messages and wildcard subscriptions"
_TOPIC = "check the topic prefix"
_TAKEN_OVER = (
    "another program connected with our client id: stop the second bridge, or give it a "
    "broker.client_id of its own"
)
_SIZE = "raise the broker's maximum packet size, or lower limits.payload_bytes"
_MOVED = "set broker.url to the broker's new address"
_WITH_TLS = (
    "whether it wants TLS (mqtts://), a client certificate (broker.certificate_file) or WebSocket "
    "(ws://, wss://)"
)

REASONS: Mapping[int, Reason] = {
    0x00: Reason("normal disconnection", True, _BROKER_LOG),
    0x80: Reason("unspecified error", True, _BROKER_LOG),
    0x81: Reason("malformed packet", True, _BROKER_LOG),
    0x82: Reason("protocol error", True, _BROKER_LOG),
    0x83: Reason("implementation specific error", True, _BROKER_LOG),
    0x84: Reason("unsupported protocol version", True, "the bridge needs MQTT 3.1.1 or 5"),
    0x85: Reason("client identifier not valid", False, _CLIENT_ID),
    0x86: Reason("bad user name or password", False, _LOGIN),
    0x87: Reason("not authorized", False, f"{_LOGIN}; {_RIGHTS}"),
    0x88: Reason("server unavailable", True, _WAIT),
    0x89: Reason("server busy", True, _WAIT),
    0x8A: Reason("banned", False, "ask who runs the broker to lift the ban of this client"),
    0x8B: Reason("server shutting down", True, "nothing to do if the broker comes back"),
    0x8C: Reason("bad authentication method", False, "the broker must accept user and password"),
    0x8D: Reason("keep alive timeout", True, "the network, or one of both machines, was stuck"),
    0x8E: Reason("session taken over", False, _TAKEN_OVER),
    0x8F: Reason("topic filter invalid", False, _TOPIC),
    0x90: Reason("topic name invalid", True, _TOPIC),
    0x91: Reason("packet identifier in use", True, _BROKER_LOG),
    0x93: Reason("receive maximum exceeded", True, "lower broker.publish_window"),
    0x94: Reason("topic alias invalid", True, _BROKER_LOG),
    0x95: Reason("packet too large", True, _SIZE),
    0x96: Reason("message rate too high", True, "raise the broker's rate limit for the bridge"),
    0x97: Reason("quota exceeded", True, "raise the broker's quota for the bridge"),
    0x98: Reason("administrative action", True, "ask who runs the broker"),
    0x99: Reason("payload format invalid", True, _BROKER_LOG),
    0x9A: Reason("retain not supported", False, _FEATURE),
    0x9B: Reason("QoS not supported", False, _FEATURE),
    0x9C: Reason("use another server", True, _MOVED),
    0x9D: Reason("server moved", False, _MOVED),
    0x9E: Reason("shared subscription not supported", False, _FEATURE),
    0x9F: Reason("connection rate exceeded", True, _WAIT),
    0xA0: Reason("maximum connect time", True, "nothing to do: the bridge connects again"),
    0xA1: Reason("subscription identifiers not supported", False, _FEATURE),
    0xA2: Reason("wildcard subscription not supported", False, _FEATURE),
}


def name_of(code: int) -> str:
    """Return what a reason code says, to be read on its own."""
    reason = REASONS.get(code)
    if reason is None:
        return f"Reason code 0x{code:02x}"
    return reason.name[0].upper() + reason.name[1:]


def granted_name(code: int) -> str:
    """Return what a SUBACK says of one subscription."""
    return name_of(code) if code >= FIRST_FAILURE else f"Granted QoS {code}"


def refused(address: str, code: int, detail: str = "") -> ConnectRefused:
    """Return the error for a CONNACK with a failure."""
    reason, explained = _explain(code, detail)
    return ConnectRefused(
        f"the broker at {address} refused the connection: {explained}",
        hint=reason.hint,
        recoverable=reason.recoverable,
    )


def ended_by_broker(address: str, code: int, detail: str = "") -> LinkLost:
    """Return the error for a DISCONNECT from the broker."""
    reason, explained = _explain(code, detail)
    return LinkLost(
        f"the broker at {address} ended the connection: {explained}",
        hint=reason.hint,
        recoverable=reason.recoverable,
    )


def _explain(code: int, detail: str) -> tuple[Reason, str]:
    reason = REASONS.get(code) or Reason(f"reason code 0x{code:02x}", True, _BROKER_LOG)
    if not detail:
        return reason, reason.name
    return reason, f"{reason.name}: {detail[:_DETAIL_CHARACTERS]!r}"


def lacks_feature(address: str, feature: str) -> ConnectRefused:
    """Return the error for a broker that cannot do what the bridge lives on."""
    return ConnectRefused(
        f"the broker at {address} does not offer {feature}", hint=_FEATURE, recoverable=False
    )


def unreachable(address: str, error: OSError) -> ConnectRefused:
    """Return the error for a TCP connection that did not come about."""
    if isinstance(error, socket.gaierror):
        return ConnectRefused(
            f"the name of the broker {address} does not resolve: {error.strerror}",
            hint="check the host in broker.url, and the machine's DNS",
        )
    if isinstance(error, ConnectionRefusedError):
        return ConnectRefused(
            f"nothing listens at {address}: connection refused",
            hint="check the port in broker.url, and that the broker runs and listens there",
        )
    if isinstance(error, TimeoutError):
        return ConnectRefused(
            f"no answer from {address}: timed out",
            hint="check the host in broker.url, and the firewalls on the way",
        )
    return ConnectRefused(
        f"the broker at {address} cannot be reached: {error.strerror or error}",
        hint="check the host in broker.url, and the machine's network",
    )


def unanswered(address: str, request: str, timeout_s: float) -> ConnectRefused:
    """Return the error for a broker that takes TCP connections and then says nothing."""
    return ConnectRefused(
        f"the broker at {address} did not answer {request} within {timeout_s:g} s",
        hint="check that an MQTT broker listens there; a busy one needs a longer "
        "broker.connect_timeout_s",
    )


def closed_unanswered(address: str, error: Exception | None = None) -> ConnectRefused:
    """Return the error for a connection that is closed before CONNACK.

    In TLS 1.3 a broker that refuses the client's certificate, or misses it, says so only here, by
    the error with which the connection was lost.
    """
    if isinstance(error, ssl.SSLError):
        return tls_failed(address, error)
    return ConnectRefused(
        f"{address} closed the connection without an answer to CONNECT",
        hint=f"check that an MQTT broker listens there, and {_WITH_TLS}; its log may say more",
    )


def closed(address: str, client_id: str, error: Exception | None) -> LinkLost:
    """Return the error for a connection that ends without a word."""
    detail = f": {error}" if error is not None else ""
    return LinkLost(
        f"the broker at {address} closed the connection{detail}",
        hint="nothing to do if the broker comes back; if this goes on while it runs, look for "
        f"another program with the client id {client_id!r}, and into the broker's log",
    )


def silent(address: str, keepalive_s: int) -> LinkLost:
    """Return the error for a broker that does not answer PINGREQ."""
    return LinkLost(
        f"the broker at {address} is silent: no answer within the keep alive of {keepalive_s} s",
        hint=REASONS[KEEP_ALIVE_TIMEOUT].hint,
    )


def unintelligible(address: str, detail: str = "") -> LinkLost:
    """Return the error for bytes that are not MQTT, or not at that moment."""
    return LinkLost(
        f"the broker at {address} sent something that is not MQTT{detail}",
        hint=f"check that an MQTT broker listens there, and {_WITH_TLS}",
    )


def packet_too_large(address: str, size_bytes: int, allowed_bytes: int) -> LinkLost:
    """Return the error for a packet that is larger than the broker was told that it may be."""
    return LinkLost(
        f"the broker at {address} began a packet of {size_bytes} bytes, and was told to send at "
        f"most {allowed_bytes}",
        hint=_BROKER_LOG,
    )


def session_lost(address: str) -> LinkLost:
    """Return the error for publishes of a session that the broker has not kept."""
    return LinkLost(f"the broker at {address} has not kept the session")


def overrun(address: str, waiting: str) -> LinkLost:
    """Return the error for a broker that sends more than can wait here."""
    return LinkLost(
        f"the broker at {address} sent more than can wait here: {waiting}",
        hint="lower broker.receive_maximum, or speed up the store",
    )


def stopped(address: str) -> LinkLost:
    """Return the error for whatever is still asked of a link that was stopped."""
    return LinkLost(f"the link to {address} was stopped", recoverable=False)
