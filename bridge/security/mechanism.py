"""The mechanisms with which a device's new key can be sealed for it (docs/enrolment.md)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

X25519_BYTES: Final = 32
ML_KEM_PUBLIC_BYTES: Final = 1184
ML_KEM_CIPHERTEXT_BYTES: Final = 1088


class Kem(IntEnum):
    """How the secret between bridge and device is agreed on. The claim says which."""

    X25519 = 1
    MLKEM768_X25519 = 2

    @property
    def shown(self) -> str:
        """Its name for people."""
        return "X25519" if self is Kem.X25519 else "ML-KEM-768 with X25519"

    @property
    def public_key_bytes(self) -> int:
        """Length of a public key."""
        return X25519_BYTES + (0 if self is Kem.X25519 else ML_KEM_PUBLIC_BYTES)

    @property
    def encapsulation_bytes(self) -> int:
        """Length of what stands in front of the ciphertext."""
        return X25519_BYTES + (0 if self is Kem.X25519 else ML_KEM_CIPHERTEXT_BYTES)
