"""The cryptography that everything else here is made of: HKDF-SHA256, and the two AEADs."""

from __future__ import annotations

from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.security.frame import Algorithm

KEY_BYTES: Final = 32

Aead: TypeAlias = AESGCM | ChaCha20Poly1305


def derive(secret: bytes, salt: bytes, info: bytes, size_bytes: int = KEY_BYTES) -> bytes:
    """Return a key derived with HKDF-SHA256 (RFC 5869)."""
    return HKDF(hashes.SHA256(), size_bytes, salt, info).derive(secret)


def make_aead(algorithm: Algorithm, key: bytes) -> Aead:
    """Return a cipher with its key (RFC 5116 section 5.2, RFC 8439 section 2.8)."""
    return AESGCM(key) if algorithm is Algorithm.AES_256_GCM else ChaCha20Poly1305(key)


def open_or_none(aead: Aead, nonce: bytes, ciphertext: bytes, data: bytes) -> bytes | None:
    """Return what was sealed; None where the tag, at the end of the ciphertext, is not right."""
    try:
        return aead.decrypt(nonce, ciphertext, data)
    except InvalidTag:
        return None
