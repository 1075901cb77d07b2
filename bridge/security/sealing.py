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

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

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

KEY_BYTES: Final = 32

CIPHERS_KEPT: Final = 20_000
"""Derived keys of an `Opener`, each of one boot on one topic: at most about 30 MiB."""

_NONCE_START: Final = bytes(4)

_Aead: TypeAlias = AESGCM | ChaCha20Poly1305
_Place: TypeAlias = tuple[str, bytes, int, Direction, str, bytes]


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

    __slots__ = ("_aead", "_data")

    def __init__(self, key: DeviceKey, direction: Direction, topic: str, boot: bytes) -> None:
        what = (key.algorithm, key.key_id, key.device, direction, topic)
        derived = HKDF(hashes.SHA256(), KEY_BYTES, boot, key_info(*what)).derive(key.secret)
        self._aead: _Aead = (
            AESGCM(derived) if key.algorithm is Algorithm.AES_256_GCM else ChaCha20Poly1305(derived)
        )
        self._data = associated_data(*what, boot)

    def seal(self, seq: int, payload: bytes) -> bytes:
        number = seq_bytes(seq)
        return self._aead.encrypt(_NONCE_START + number, payload, self._data + number)

    def open(self, seq: int, ciphertext: bytes) -> bytes | None:
        number = seq_bytes(seq)
        try:
            return self._aead.decrypt(_NONCE_START + number, ciphertext, self._data + number)
        except InvalidTag:
            return None


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
        key = next((key for key in keys if key.key_id == frame.key_id), None)
        if key is None:
            return _not_valid(
                f"key {frame.key_id} is not valid for this device: it was replaced or revoked; "
                "enrol the device again"
            )
        if frame.algorithm != key.algorithm:
            return _not_valid(f"key {key.key_id} is for {key.algorithm.name}, and nothing else")
        return self._open(frame, key, direction, topic)

    def _open(
        self, frame: Frame, key: DeviceKey, direction: Direction, topic: str
    ) -> Opened | Refusal:
        # Not the key itself: its algorithm takes longer to hash than a short frame to open.
        place = (key.device, key.secret, key.key_id, direction, topic, frame.boot)
        kept = self._ciphers.get(place)
        cipher = kept or _Cipher(key, direction, topic, frame.boot)
        content = cipher.open(frame.seq, frame.ciphertext)
        if content is None:
            return _not_valid(
                "the seal is broken, or was made for another device, topic or direction"
            )
        # Only now: whoever makes up boots must not push out those of devices.
        if kept is None:
            self._ciphers[place] = cipher
            if len(self._ciphers) > self._ciphers_kept:
                self._ciphers.popitem(last=False)
        else:
            self._ciphers.move_to_end(place)
        return Opened(content, frame.boot, frame.seq, frame.key_id)

    def forget(self, device: str) -> None:
        """Forget what was derived from a device's keys, after one was revoked."""
        for place in [place for place in self._ciphers if place[0] == device]:
            del self._ciphers[place]


def _not_valid(why: str) -> Refusal:
    return Refusal(401, "seal_not_valid", why)
