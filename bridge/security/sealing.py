"""Sealing and opening payloads with a device's key (design section 8).

Each topic of each boot has a key of its own, derived with HKDF-SHA256 (RFC 5869); the nonce is the
message's `seq`. Whether a message has been there before is not known here: who opens it compares
`boot` and `seq` with what is kept.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from bridge.core.refusal import Refusal
from bridge.security.frame import (
    BOOT_BYTES,
    KEY_ID_MAX,
    SEQ_MAX,
    Algorithm,
    Direction,
    Frame,
    associated_data,
    key_info,
    parse_frame,
    seq_bytes,
)
from bridge.security.primitives import KEY_BYTES, derive, make_aead, open_or_none

CIPHERS_KEPT: Final = 20_000
"""Derived keys of an `Opener`, each of one boot on one topic: at most about 30 MiB."""

_NONCE_START: Final = bytes(4)

_Place: TypeAlias = tuple[str, int, Direction, bytes]


class DeviceKey(NamedTuple):
    """A device's key, as its record has it.

    Attributes:
        device: Whose it is; also a group of readers may have one.
        key_id: From 0 to 2^32 - 1; never given twice to one device.
        algorithm: The only one that this key is used with.
        secret: 32 random bytes.
    """

    device: str
    key_id: int
    algorithm: Algorithm
    secret: bytes

    def __repr__(self) -> str:
        """Return the key without its secret: logs and tracebacks show this."""
        return f"DeviceKey({self.device!r}, {self.key_id}, {self.algorithm.name}, …)"


class Opened(NamedTuple):
    """An authentic frame's content, and what its sender says of it."""

    payload: bytes
    boot: bytes
    seq: int
    key_id: int


class _Cipher:
    """One boot on one topic: its derived key, ready for use, and what its tags cover."""

    __slots__ = ("_aead", "_data", "boot", "key")

    def __init__(self, key: DeviceKey, direction: Direction, topic: str, boot: bytes) -> None:
        self.key = key
        self.boot = boot
        what = (key.algorithm, key.key_id, key.device, direction, topic)
        self._aead = make_aead(key.algorithm, derive(key.secret, boot, key_info(*what)))
        self._data = associated_data(*what, boot)

    def seal(self, seq: int, payload: bytes) -> bytes:
        number = seq_bytes(seq)
        return self._aead.encrypt(_NONCE_START + number, payload, self._data + number)

    def open(self, seq: int, ciphertext: bytes) -> bytes | None:
        number = seq_bytes(seq)
        return open_or_none(self._aead, _NONCE_START + number, ciphertext, self._data + number)


class Sealer:
    """Seals one sender's messages of one boot on one topic, each with the next `seq`.

    Args:
        key: The device's key.
        direction: Which way the messages go.
        topic: The whole topic that they are published on, with its prefix.
        boot: 16 bytes that were never used with this key before; None: random ones.

    Raises:
        ValueError: The key or the boot has the wrong length, or the key id is out of its range.
    """

    def __init__(
        self, key: DeviceKey, direction: Direction, topic: str, boot: bytes | None = None
    ) -> None:
        self.boot = secrets.token_bytes(BOOT_BYTES) if boot is None else boot
        if len(self.boot) != BOOT_BYTES or len(key.secret) != KEY_BYTES:
            raise ValueError(f"a boot has {BOOT_BYTES} bytes and a key {KEY_BYTES}")
        if not 0 <= key.key_id <= KEY_ID_MAX:
            raise ValueError(f"a key id is from 0 to {KEY_ID_MAX}, not {key.key_id}")
        self._key = key
        self._cipher = _Cipher(key, direction, topic, self.boot)
        self._seq = 0

    def seal(self, payload: bytes) -> bytes:
        """Return the frame of the next message. To repeat a message, send the same frame again.

        Raises:
            OverflowError: The boot has no number left: a new one is needed.
        """
        if self._seq >= SEQ_MAX:
            raise OverflowError("no seq is left in this boot: begin a new one")
        self._seq += 1
        return self.seal_numbered(self._seq, payload)

    def seal_numbered(self, seq: int, payload: bytes) -> bytes:
        """Return the frame of a message whose number its sender has given it for ever.

        For who keeps messages with their numbers, and not their frames: the same number must never
        meet another payload. Not to be mixed with `seal`, which counts by itself.
        """
        sealed = self._cipher.seal(seq, payload)
        key = self._key
        return Frame(key.algorithm, key.key_id, self.boot, seq, sealed).encode()


class Opener:
    """Opens frames.

    Args:
        ciphers_kept: Derived keys that are kept; the least recently used goes first.
    """

    def __init__(self, ciphers_kept: int = CIPHERS_KEPT) -> None:
        self._ciphers_kept = ciphers_kept
        self._ciphers: OrderedDict[_Place, _Cipher] = OrderedDict()

    def __len__(self) -> int:
        """Derived keys that are kept."""
        return len(self._ciphers)

    def open(
        self, payload: bytes, keys: Sequence[DeviceKey], direction: Direction, topic: str
    ) -> Opened | Refusal:
        """Open a frame.

        Args:
            payload: As it arrived, at most `Limits.payload_bytes`.
            keys: The device's keys that are valid now: the current one, and the next one if the
                keys are being changed.
            direction: Which way it went.
            topic: The whole topic that it came on.

        Returns:
            The content; or a refusal, 401 where a frame is whole but not what it claims to be.
        """
        frame = parse_frame(payload)
        if isinstance(frame, Refusal):
            return frame
        place = (topic, frame.key_id, direction, frame.boot)
        kept = self._ciphers.get(place)
        if kept is None or kept.key not in keys or kept.key.algorithm != frame.algorithm:
            return self._open_first(frame, keys, place)
        content = kept.open(frame.seq, frame.ciphertext)
        if content is None:
            return _BROKEN
        self._ciphers.move_to_end(place)
        # The boot that is kept, not the frame's: it is compared and hashed faster ever after.
        return Opened(content, kept.boot, frame.seq, frame.key_id)

    def _open_first(
        self, frame: Frame, keys: Sequence[DeviceKey], place: _Place
    ) -> Opened | Refusal:
        """Open a frame in whose place none has been opened with any of these keys."""
        topic, key_id, direction, boot = place
        key = next((key for key in keys if key.key_id == key_id), None)
        if key is None:
            return _not_valid(
                f"key {key_id} is not valid for this device: it was replaced or revoked; "
                "enrol the device again"
            )
        if frame.algorithm != key.algorithm:
            return _not_valid(f"key {key.key_id} is for {key.algorithm.name}, and nothing else")
        cipher = _Cipher(key, direction, topic, boot)
        content = cipher.open(frame.seq, frame.ciphertext)
        if content is None:
            return _BROKEN
        # Only now: whoever makes up boots must not push out those of devices.
        self._ciphers[place] = cipher
        if len(self._ciphers) > self._ciphers_kept:
            self._ciphers.popitem(last=False)
        return Opened(content, boot, frame.seq, key_id)

    def forget(self, device: str) -> None:
        """Forget what was derived from a device's keys, after one was revoked."""
        places = [place for place, kept in self._ciphers.items() if kept.key.device == device]
        for place in places:
            del self._ciphers[place]


def _not_valid(why: str) -> Refusal:
    return Refusal(401, "seal_not_valid", why)


_BROKEN: Final = _not_valid(
    "the seal is broken, or was made for another device, topic or direction"
)
