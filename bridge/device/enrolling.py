"""`enrol`: fetches a device's key from the bridge, by MQTT."""

from __future__ import annotations

import logging
import queue
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.device.connection import (
    BrokerRefused,
    Connected,
    Connection,
    ConnectionSettings,
    Disconnected,
    Protocol,
    Received,
    Signal,
)
from bridge.device.private_file import read_private, write_private
from bridge.errors import DeviceError, NotAnswered, NotGenuine, Refused

if TYPE_CHECKING:
    from bridge.device.enrolment import Enrolment
    from bridge.security.sealing import DeviceKey

RETRY_AFTER_S: Final = 5.0
"""Time after which a request without an answer is sent again."""

KEEPALIVE_S: Final = 30

_TRY_AGAIN: Final = frozenset({429, 503})
"""Refusals that may pass by themselves."""

_ASIDE: Final = ".enrolling"

_logger = logging.getLogger("syncbridge.device")


def enrol(
    device_id: str,
    claim: str,
    *,
    host: str = "127.0.0.1",
    port: int = 1883,
    username: str | None = None,
    password: str | None = None,
    tls: ssl.SSLContext | None = None,
    prefix: str = "sync",
    protocol: Protocol = "3.1.1",
    key_file: Path | str | None = None,
    timeout_s: float = 60.0,
) -> DeviceKey:
    """Fetch the key of a device, once, with a claim that `syncbridge enrol` made.

    The claim never goes over the network, and nobody but this device can open the answer. It is
    believed only with the signature of the bridge that made the claim.

    With a `key_file`, an attempt that was broken off is taken up again by the next one: until the
    key is in the file, what is needed to open the answer stands beside it, in a file whose name
    ends in `.enrolling`. Both are for their owner alone (mode 0600). Where the bridge refuses for
    good, the latter is removed: nothing is left to be taken up.

    Args:
        device_id: The device that the claim is for.
        claim: The claim.
        host: Of the broker.
        port: Of the broker.
        username: At the broker.
        password: At the broker.
        tls: Where the broker wants TLS: a context, such as `make_tls_context()` returns.
        prefix: Of all topics.
        protocol: MQTT's version.
        key_file: Where the key is written; `read_device_key` reads it.
        timeout_s: How long to wait for the answer.

    Raises:
        Refused: The bridge refuses: `error` says why (docs/enrolment.md).
        NotGenuine: Something came, but nothing that the bridge has signed.
        NotAnswered: Nothing came in time.
        KeyFileError: The file, or the one beside it, cannot be used.
        ValueError: An argument is out of its range, or the claim was not copied whole.
    """
    target = None if key_file is None else Path(key_file)
    enrolment = _begin(device_id, claim, prefix, target)
    settings = ConnectionSettings(
        host=host,
        port=port,
        client_id=device_id,
        username=username,
        password=password,
        tls=tls,
        protocol=protocol,
        keepalive_s=KEEPALIVE_S,
    )
    try:
        key = _Exchange(enrolment, settings, timeout_s).run()
    except Refused as refused:
        if target is not None and refused.code not in _TRY_AGAIN:
            _aside(target).unlink(missing_ok=True)
        raise
    if target is not None:
        from bridge.device.key_file import write_device_key

        write_device_key(target, key)
        _aside(target).unlink(missing_ok=True)
    return key


def _begin(device_id: str, claim: str, prefix: str, target: Path | None) -> Enrolment:
    """Begin an enrolment, or go on with the one that was broken off."""
    # Only here: a device that does not enrol has nothing to do with OpenSSL.
    from bridge.device.enrolment import Enrolment

    enrolment = Enrolment(device_id, claim, prefix=prefix)
    if target is None:
        return enrolment
    aside = _aside(target)
    claim_id = enrolment.claim.claim_id
    if aside.exists():
        content = read_private(aside)
        private_key = _bytes_in(content, "private_key")
        is_whole = len(private_key) == len(enrolment.private_key)
        if content.get("claim") == claim_id.hex() and is_whole:
            return Enrolment(device_id, claim, prefix=prefix, private_key=private_key)
    write_private(aside, {"claim": claim_id.hex(), "private_key": enrolment.private_key.hex()})
    return enrolment


def _bytes_in(content: Mapping[str, object], name: str) -> bytes:
    text = content.get(name)
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _aside(target: Path) -> Path:
    return target.with_name(target.name + _ASIDE)


class _Exchange:
    """Sends the request until there is an answer, or no time any more."""

    def __init__(
        self, enrolment: Enrolment, settings: ConnectionSettings, timeout_s: float
    ) -> None:
        self._enrolment = enrolment
        self._settings = settings
        self._timeout_s = timeout_s
        self._signals: queue.SimpleQueue[Signal] = queue.SimpleQueue()
        self._connection = Connection(settings, lambda: None, self._signals.put, self._signals.put)
        self._connected = False
        self._send_at = 0.0
        self._failure: DeviceError = NotAnswered(
            f"{settings} has not answered within {timeout_s:g} s",
            hint="is a broker running there, and can this machine reach it?",
        )

    def run(self) -> DeviceKey:
        """Return the key.

        Raises:
            DeviceError: There is none.
        """
        deadline = time.monotonic() + self._timeout_s
        self._connection.start()
        try:
            while (now := time.monotonic()) < deadline:
                if self._connected and now >= self._send_at:
                    self._connection.publish(self._enrolment.request)
                    self._send_at = now + RETRY_AFTER_S
                due = min(deadline, self._send_at) if self._connected else deadline
                try:
                    signal = self._signals.get(timeout=max(0.0, due - now))
                except queue.Empty:
                    continue
                key = self._follow(signal)
                if key is not None:
                    return key
        finally:
            self._connection.stop(None)
        raise self._failure

    def _follow(self, signal: Signal) -> DeviceKey | None:
        match signal:
            case Connected():
                self._connected, self._send_at = True, 0.0
                self._connection.forget_subscriptions()
                # The broker handles these in order: the answer finds the subscription there.
                self._connection.subscribe_to([self._enrolment.reply_topic])
                self._failure = self._not_answered()
            case Disconnected(reason):
                self._connected = False
                if reason != self._failure.message:
                    _logger.warning("%s; trying again for as long as there is time", reason)
                self._failure = NotAnswered(reason)
            case BrokerRefused(reason):
                self._failure = NotAnswered(
                    f"{self._settings} refuses {reason}",
                    hint=f"may this user publish to {self._enrolment.topic} and read "
                    f"{self._enrolment.reply_topic}?",
                )
            case Received(topic, payload) if topic == self._enrolment.reply_topic:
                return self._read(payload)
        return None

    def _read(self, payload: bytes) -> DeviceKey | None:
        try:
            return self._enrolment.read_answer(payload)
        except NotGenuine as error:
            _logger.warning("%s", error)
            self._failure = error
        except Refused as error:
            if error.code not in _TRY_AGAIN:
                raise
            self._failure = error
        return None

    def _not_answered(self) -> NotAnswered:
        return NotAnswered(
            f"no bridge has answered on {self._enrolment.reply_topic}",
            hint="is a bridge running there that offers enrolment, and may this user publish to "
            f"{self._enrolment.topic} and read the answer?",
        )
