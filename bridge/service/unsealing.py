"""Opening what arrives sealed, and refusing what should have been (docs/sealed-payloads.md)."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

from bridge.core.refusal import Refusal
from bridge.core.topics import InboundTopic
from bridge.link.base import Message
from bridge.security.sealing import Opened, Opener
from bridge.service.keyring import Keyring
from bridge.store.sealed_windows import SealedPlace
from bridge.wire.wrappers import is_wrapper

PLACES_KEPT: Final = 20_000
"""Places that need not be computed again: as many as there are derived keys in memory."""

PLACE_BYTES: Final = 16
"""Of the hash of topic and boot: nobody finds two boots of one."""


NOT_SEALED: Final = "not_sealed"
"""Error of what came in clear and may not."""

_NO_FRAME: Final = Refusal(415, NOT_SEALED, "")


class Unsealed(NamedTuple):
    """What was sealed.

    Attributes:
        payload: In clear.
        boot: As `$.boot` would have it: the frame's, in hexadecimal digits.
        seq: The frame's.
        place: Where its number counts.
        is_proof: It is the first that its device has sealed with this key.
    """

    payload: bytes
    boot: str
    seq: int
    place: SealedPlace
    is_proof: bool


class Unsealer:
    """Opens what comes from senders that have a key.

    Args:
        keyring: The keys.
        payload_bytes: Bound of a payload, as it arrives.
    """

    def __init__(self, keyring: Keyring, payload_bytes: int) -> None:
        self._keyring = keyring
        self._payload_bytes = payload_bytes
        self._opener = Opener()

    def open(self, message: Message, topic: InboundTopic) -> Unsealed | Refusal | None:
        """Open a message; None where it is in clear, and may be.

        Args:
            message: As it arrived.
            topic: Its parsed topic.
        """
        keyring = self._keyring
        sender = topic.sender
        if sender not in keyring:
            if topic.key.device in keyring and keyring.refuse_clear:
                return _in_clear(topic.key.device, sender)
            return None
        payload = message.payload
        if len(payload) > self._payload_bytes:
            return Refusal(
                413,
                "payload_too_large",
                f"the payload has {len(payload)} bytes, the limit is {self._payload_bytes}: "
                "send less at once, or raise limits.payload_bytes",
            )
        opened: Opened | Refusal = _NO_FRAME
        if payload and is_wrapper(payload):
            opened = self._opener.open(payload, keyring.opening(sender), "up", message.topic)
        if isinstance(opened, Refusal):
            if opened.error != NOT_SEALED:
                return _of_group(sender) if sender in keyring.readers.groups else opened
            return _in_clear(sender, sender) if keyring.refuse_clear else None
        content, boot, seq, key_id = opened
        place, boot_text = _placed(sender, key_id, message.topic, boot)
        return Unsealed(content, boot_text, seq, place, keyring.is_next(sender, key_id))

    def forget(self, device: str) -> None:
        """Forget what was derived from a device's keys, after they have changed."""
        self._opener.forget(device)


@lru_cache(PLACES_KEPT)
def _placed(sender: str, key_id: int, topic: str, boot: bytes) -> tuple[SealedPlace, str]:
    """Return where a frame's number counts, and the boot as `$.boot` has it."""
    # The boot first: its length is fixed, so that no two pairs give the same bytes.
    digest = hashlib.sha256(boot + topic.encode()).digest()[:PLACE_BYTES]
    return SealedPlace(sender, key_id, digest), boot.hex()


def _of_group(group: str) -> Refusal:
    return Refusal(
        401,
        "seal_not_valid",
        f"{group} is a group of readers: all of its members have its key, and so nothing is "
        "believed that it seals; send under a name with a key of its own",
    )


def _in_clear(device: str, sender: str) -> Refusal:
    what = "its messages" if device == sender else "what concerns it"
    return Refusal(
        401,
        "not_sealed",
        f"{device} has a key: {what} must be sealed, with the key of who sends; HTTP needs none",
    )
