"""Wrapping devices' keys for the store, with a key that is not in it.

AES-256-GCM (NIST SP 800-38D) under the wrapping key, with a random nonce of 96 bits: good for 2^32
keys. The associated data binds device, key id and algorithm, so that one device's wrapped key is
of no use in another's row.
"""

from __future__ import annotations

import secrets
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.errors import KeyWrappingError
from bridge.security.frame import Algorithm
from bridge.security.primitives import KEY_BYTES
from bridge.security.sealing import DeviceKey

WRAPPED_VERSION: Final = 1
"""First byte of what is wrapped."""

_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"syncbridge/1 device key"
_IDENTITY_PURPOSE: Final = b"syncbridge/1 identity key"


class KeyWrapper:
    """Wraps and unwraps keys.

    Args:
        wrapping_key: 32 bytes.

    Raises:
        ValueError: It has another length.
    """

    def __init__(self, wrapping_key: bytes) -> None:
        if len(wrapping_key) != KEY_BYTES:
            raise ValueError(f"a wrapping key has {KEY_BYTES} bytes, not {len(wrapping_key)}")
        self._aead = AESGCM(wrapping_key)

    def wrap(self, key: DeviceKey) -> bytes:
        """Return a key as the store keeps it: a version byte, the nonce, the ciphertext."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = _bound_to(key.device, key.key_id, key.algorithm)
        return bytes([WRAPPED_VERSION]) + nonce + self._aead.encrypt(nonce, key.secret, bound)

    def wrap_identity(self, private_key: bytes, public_key: bytes) -> bytes:
        """Return the bridge's own private key in the same form, bound to its public key."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = _IDENTITY_PURPOSE + public_key
        return bytes([WRAPPED_VERSION]) + nonce + self._aead.encrypt(nonce, private_key, bound)

    def unwrap_identity(self, wrapped: bytes, public_key: bytes) -> bytes:
        """Return the bridge's own private key.

        Raises:
            KeyWrappingError: It was wrapped with another wrapping key, or by a later version.
        """
        nonce, ciphertext = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        if wrapped[:1] != bytes([WRAPPED_VERSION]):
            raise _cannot_unwrap("the bridge's own key")
        try:
            return self._aead.decrypt(nonce, ciphertext, _IDENTITY_PURPOSE + public_key)
        except (InvalidTag, ValueError) as error:
            raise _cannot_unwrap("the bridge's own key") from error

    def unwrap(self, device: str, key_id: int, algorithm: int, wrapped: bytes) -> DeviceKey:
        """Return a device's key.

        Args:
            device: Whose it is said to be.
            key_id: Its id.
            algorithm: Number of its AEAD.
            wrapped: As `wrap` made it.

        Raises:
            KeyWrappingError: It was wrapped with another wrapping key, for another device, key id
                or algorithm, or by a later version.
        """
        if wrapped[:1] != bytes([WRAPPED_VERSION]):
            raise _not_ours(device, key_id)
        nonce, ciphertext = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        try:
            secret = self._aead.decrypt(nonce, ciphertext, _bound_to(device, key_id, algorithm))
            return DeviceKey(device, key_id, Algorithm(algorithm), secret)
        except (InvalidTag, ValueError) as error:
            raise _not_ours(device, key_id) from error


def new_device_key(device: str, key_id: int, algorithm: Algorithm) -> DeviceKey:
    """Make a key for a device: 32 random bytes."""
    return DeviceKey(device, key_id, algorithm, secrets.token_bytes(KEY_BYTES))


def _bound_to(device: str, key_id: int, algorithm: int) -> bytes:
    name = device.encode()
    return b"".join(
        (_PURPOSE, struct.pack(">H", len(name)), name, struct.pack(">IB", key_id, algorithm))
    )


def _not_ours(device: str, key_id: int) -> KeyWrappingError:
    return _cannot_unwrap(f"key {key_id} of {device}")


def _cannot_unwrap(what: str) -> KeyWrappingError:
    return KeyWrappingError(
        f"{what} in the store cannot be unwrapped",
        hint="is sealing.wrapping_key (or sealing.wrapping_key_file) the one that the store's keys "
        "were wrapped with? Without it the devices have to be given new keys",
    )
