"""How a device's new key is sealed for the device alone: HPKE, base mode (RFC 9180).

A private key is 32 random bytes with either mechanism, so that a device keeps them alike. For the
hybrid they are the seed of X-Wing (draft-connolly-cfrg-xwing-kem), which is what HPKE's hybrid of
ML-KEM-768 and X25519 is.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from bridge.security.frame import TAG_BYTES, Algorithm
from bridge.security.mechanism import ML_KEM_PUBLIC_BYTES, X25519_BYTES, Kem

PRIVATE_KEY_BYTES: Final = 32

_ML_KEM_SEED_BYTES: Final = 64

_PublicKey: TypeAlias = X25519PublicKey | MLKEM768X25519PublicKey
_PrivateKey: TypeAlias = X25519PrivateKey | MLKEM768X25519PrivateKey


_KEMS: Final = {Kem.X25519: KEM.X25519, Kem.MLKEM768_X25519: KEM.MLKEM768_X25519}

_AEADS: Final = {
    Algorithm.AES_256_GCM: AEAD.AES_256_GCM,
    Algorithm.CHACHA20_POLY1305: AEAD.CHACHA20_POLY1305,
}


def public_key_of(kem: Kem, private_key: bytes) -> bytes:
    """Return the public key, as it is sent, of a private key of `PRIVATE_KEY_BYTES`."""
    if kem is Kem.X25519:
        return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
    lattice, curve = _xwing_parts(private_key)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def seal_to(
    kem: Kem, algorithm: Algorithm, public_key: bytes, info: bytes, plaintext: bytes
) -> bytes:
    """Seal something for who has the private key; returns the encapsulation and the ciphertext.

    Raises:
        ValueError: It is no public key.
    """
    return _suite(kem, algorithm).encrypt(plaintext, _read_public(kem, public_key), info)


def open_sealed(
    kem: Kem, algorithm: Algorithm, private_key: bytes, info: bytes, sealed: bytes
) -> bytes | None:
    """Open what `seal_to` has sealed; None where it does not open."""
    if len(sealed) < kem.encapsulation_bytes + TAG_BYTES:
        return None
    try:
        return _suite(kem, algorithm).decrypt(sealed, _read_private(kem, private_key), info)
    except (InvalidTag, ValueError):
        return None


def _suite(kem: Kem, algorithm: Algorithm) -> Suite:
    return Suite(_KEMS[kem], KDF.HKDF_SHA256, _AEADS[algorithm])


def _read_public(kem: Kem, public_key: bytes) -> _PublicKey:
    if kem is Kem.X25519:
        return X25519PublicKey.from_public_bytes(public_key)
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public_key[:ML_KEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public_key[ML_KEM_PUBLIC_BYTES:]),
    )


def _read_private(kem: Kem, private_key: bytes) -> _PrivateKey:
    if kem is Kem.X25519:
        return X25519PrivateKey.from_private_bytes(private_key)
    return MLKEM768X25519PrivateKey(*_xwing_parts(private_key))


def _xwing_parts(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(_ML_KEM_SEED_BYTES + X25519_BYTES)
    return (
        MLKEM768PrivateKey.from_seed_bytes(expanded[:_ML_KEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(expanded[_ML_KEM_SEED_BYTES:]),
    )
