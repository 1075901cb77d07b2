"""Why TLS or WebSocket did not come about: one message, one hint, as in `bridge.link.reasons`.

The link tries again after each of these: none does harm, and each can be mended at the broker, or
at what stands before it, while the bridge waits.
"""

from __future__ import annotations

import ssl
from typing import NamedTuple

from websockets.exceptions import InvalidHandshake, InvalidStatus, NegotiationError

from bridge.errors import ConfigError, ConnectRefused

_DETAIL_CHARACTERS = 200
"""Longest text of a peer's own that is passed on in a message."""


class _Flaw(NamedTuple):
    """What is wrong with a certificate of the broker, and what to do about it."""

    what: str
    hint: str


_UNKNOWN = _Flaw(
    "is signed by no authority that is trusted here",
    "set broker.ca_file to the certificate of the authority that has signed it",
)
_OTHER_NAME = _Flaw(
    "is for another name",
    "write the name that it is for into broker.url, or into broker.server_name where the broker "
    "is reached under a different one",
)

# By OpenSSL's X509_V_ERR numbers (x509_vfy.h), which are the same in all its versions.
_FLAWS = {
    2: _UNKNOWN,
    9: _Flaw("is not valid yet", "check the clocks of this machine and of the one that made it"),
    10: _Flaw("has expired", "renew it at the broker; if it is new, check this machine's clock"),
    18: _UNKNOWN,
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}

_SAYS_ALL = frozenset({9, 10})

_ALERT = "_ALERT_"
_OLD_VERSION = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
_CERTIFICATE_ALERTS = frozenset(
    {
        "ACCESS_DENIED",
        "BAD_CERTIFICATE",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_UNKNOWN",
        "DECRYPT_ERROR",
        "UNKNOWN_CA",
        "UNSUPPORTED_CERTIFICATE",
    }
)
_NO_TLS_HINT = (
    "check the port in broker.url: brokers mostly speak TLS at 8883, and without it (mqtt://) "
    "at 1883"
)


def unusable_files(address: str, error: ConfigError) -> ConnectRefused:
    """Return the error for files that were good at the start and are no longer."""
    return ConnectRefused(f"no TLS to {address}: {error.message}", hint=error.hint)


def tls_failed(address: str, error: OSError) -> ConnectRefused:
    """Return the error for a TLS handshake that failed, or was refused after it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_refused(address, error)
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if reason in _OLD_VERSION:
        return ConnectRefused(
            f"{address} speaks no version of TLS that is safe: 1.2 is the oldest",
            hint="update the broker, or what takes TLS for it",
        )
    if _ALERT in reason:
        return _alerted(address, reason.partition(_ALERT)[2])
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return ConnectRefused(
            f"{address} does not answer in TLS: {_words(reason) or error}", hint=_NO_TLS_HINT
        )
    return ConnectRefused(f"{address} ended the connection in the TLS handshake", hint=_NO_TLS_HINT)


def _certificate_refused(address: str, error: ssl.SSLCertVerificationError) -> ConnectRefused:
    flaw = _FLAWS.get(error.verify_code) or _Flaw(
        "is not accepted", "have another one made for the broker"
    )
    message = f"the certificate of the broker at {address} {flaw.what}"
    if error.verify_code not in _SAYS_ALL:
        message += f": {error.verify_message.rstrip('.')}"
    return ConnectRefused(message, hint=flaw.hint)


def _alerted(address: str, alert: str) -> ConnectRefused:
    if alert == "CERTIFICATE_REQUIRED":
        return ConnectRefused(
            f"the broker at {address} asks for a client certificate",
            hint="set broker.certificate_file and broker.key_file",
        )
    if alert in _CERTIFICATE_ALERTS:
        return ConnectRefused(
            f"the broker at {address} refused the client certificate: {_words(alert)}",
            hint="check that broker.certificate_file is valid now, and signed by an authority "
            "that the broker trusts",
        )
    return ConnectRefused(
        f"the broker at {address} refused TLS: {_words(alert)}",
        hint="it may ask for a client certificate (broker.certificate_file and broker.key_file), "
        "or know other ciphers only; its log may say more",
    )


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()


def websocket_refused(address: str, path: str, error: InvalidHandshake) -> ConnectRefused:
    """Return the error for a WebSocket handshake that was answered with something else."""
    if isinstance(error, InvalidStatus):
        response = error.response
        phrase = _cut(response.reason_phrase)
        return ConnectRefused(
            f"{address} answered the WebSocket handshake for {path!r} with HTTP status "
            f"{response.status_code} {phrase!r}",
            hint=_status_hint(response.status_code),
        )
    if isinstance(error, NegotiationError):
        return subprotocol_refused(address, path)
    return ConnectRefused(
        f"{address} does not speak WebSocket: {_cut(str(error))!r}",
        hint="check host, port and path in broker.url; without WebSocket it begins with mqtt:// "
        "or mqtts://",
    )


def subprotocol_refused(address: str, path: str) -> ConnectRefused:
    """Return the error for a WebSocket server that does not grant what MQTT 5 section 6 asks."""
    return ConnectRefused(
        f"{address} speaks WebSocket at {path!r}, but does not grant the subprotocol 'mqtt'",
        hint="check the path in broker.url; what listens there is no MQTT broker, or a proxy that "
        "does not pass on Sec-WebSocket-Protocol",
    )


def websocket_failed(address: str, path: str, detail: str) -> ConnectRefused:
    """Return the error for a handshake of which only paho-mqtt's words are known."""
    return ConnectRefused(
        f"{address} refused the WebSocket handshake for {path!r}: {_cut(detail)!r}",
        hint="check host, port and path in broker.url",
    )


def websocket_ended(address: str) -> ConnectRefused:
    """Return the error for a connection that ends before the handshake is answered."""
    return ConnectRefused(
        f"{address} closed the connection without an answer to the WebSocket handshake",
        hint="check the port in broker.url, and that the broker speaks WebSocket there",
    )


def _status_hint(status: int) -> str:
    if status in (401, 403):
        return (
            "what stands before the broker wants a login that MQTT does not carry: let this "
            "machine through there"
        )
    if status in (404, 405, 410):
        return "check the path in broker.url"
    if status in (301, 302, 303, 307, 308):
        return "redirections are not followed: set broker.url to where the broker is now"
    if status >= 500:
        return "nothing to do if the broker comes back; the log of what stands before it says more"
    return "check host, port and path in broker.url"


def _cut(text: str) -> str:
    return text[:_DETAIL_CHARACTERS]
