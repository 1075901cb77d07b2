"""Enrolment as docs/enrolment.md describes it, without any code of the product.

HPKE is written out from RFC 9180 (sections 4, 4.1 and 5.1) and X-Wing from its draft; the curve,
the lattice, the AEADs and the signatures come from a library.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

_KEM_IDS = {1: 0x0020, 2: 0x647A}
_AEADS = {1: (0x0002, AESGCM), 2: (0x0003, ChaCha20Poly1305)}
_XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")
_ML_KEM_CIPHERTEXT = 1088


def sign_request(
    device: str,
    topic: str,
    claim_id: bytes,
    kem: int,
    claim_key: bytes,
    bridge_public: bytes,
    public_key: bytes,
) -> bytes:
    """The signature of a request."""
    content = b"syncbridge/1 claim" + _text(device) + _text(topic) + claim_id + bytes([kem])
    return _sign(claim_key, content + bridge_public + public_key)


def sign_grant(
    device: str,
    topic: str,
    claim_id: bytes,
    kem: int,
    bridge_key: bytes,
    public_key: bytes,
    key_id: int,
    algorithm: int,
    sealed: bytes,
) -> bytes:
    """The signature of an answer."""
    content = b"syncbridge/1 grant" + _text(device) + _text(topic) + claim_id + bytes([kem])
    content += public_key + struct.pack(">I", key_id) + bytes([algorithm]) + sealed
    return _sign(bridge_key, content)


def info(device: str, topic: str, claim_id: bytes, key_id: int, algorithm: int) -> bytes:
    """HPKE's info."""
    content = b"syncbridge/1 key" + _text(device) + _text(topic) + claim_id
    return content + struct.pack(">I", key_id) + bytes([algorithm])


def public_key_of(kem: int, private_key: bytes) -> bytes:
    """The public key, as it is sent."""
    if kem == 1:
        return _x25519_public(private_key)
    lattice, curve = _xwing_keys(private_key)
    return lattice.public_key().public_bytes_raw() + _x25519_public(curve)


def seal_with(
    ephemeral: bytes, algorithm: int, public_key: bytes, about: bytes, key: bytes
) -> bytes:
    """Seal with X25519 and this ephemeral private key."""
    encapsulated = _x25519_public(ephemeral)
    shared = dhkem_secret(x25519(ephemeral, public_key), encapsulated + public_key)
    secret, nonce = key_schedule(1, algorithm, shared, about)
    return encapsulated + _AEADS[algorithm][1](secret).encrypt(nonce, key, b"")


def open_sealed(kem: int, algorithm: int, private_key: bytes, about: bytes, sealed: bytes) -> bytes:
    """Open what was sealed with either mechanism."""
    if kem == 1:
        encapsulated, ciphertext = sealed[:32], sealed[32:]
        context = encapsulated + _x25519_public(private_key)
        shared = dhkem_secret(x25519(private_key, encapsulated), context)
    else:
        lattice, curve = _xwing_keys(private_key)
        of_lattice = sealed[:_ML_KEM_CIPHERTEXT]
        of_curve = sealed[_ML_KEM_CIPHERTEXT : _ML_KEM_CIPHERTEXT + 32]
        ciphertext = sealed[_ML_KEM_CIPHERTEXT + 32 :]
        combined = lattice.decapsulate(of_lattice) + x25519(curve, of_curve)
        combined += of_curve + _x25519_public(curve) + _XWING_LABEL
        shared = hashlib.sha3_256(combined).digest()
    secret, nonce = key_schedule(kem, algorithm, shared, about)
    return _AEADS[algorithm][1](secret).decrypt(nonce, ciphertext, b"")


def dhkem_secret(agreed: bytes, context: bytes) -> bytes:
    """RFC 9180, section 4.1: ExtractAndExpand."""
    suite = b"KEM" + struct.pack(">H", _KEM_IDS[1])
    prk = _labeled_extract(suite, b"", b"eae_prk", agreed)
    return _labeled_expand(suite, prk, b"shared_secret", context, 32)


def key_schedule(kem: int, algorithm: int, shared: bytes, about: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce: RFC 9180, section 5.1."""
    aead_id, _ = _AEADS[algorithm]
    suite = b"HPKE" + struct.pack(">HHH", _KEM_IDS[kem], 0x0001, aead_id)
    context = b"\x00" + _labeled_extract(suite, b"", b"psk_id_hash", b"")
    context += _labeled_extract(suite, b"", b"info_hash", about)
    secret = _labeled_extract(suite, shared, b"secret", b"")
    key = _labeled_expand(suite, secret, b"key", context, 32)
    return key, _labeled_expand(suite, secret, b"base_nonce", context, 12)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, hashlib.sha256)


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
    labeled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + context
    # One block of SHA-256 is as long as the longest that is asked for.
    return hmac.digest(prk, labeled + b"\x01", hashlib.sha256)[:length]


def _xwing_keys(seed: bytes) -> tuple[MLKEM768PrivateKey, bytes]:
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), expanded[64:]


def x25519(private_key: bytes, public_key: bytes) -> bytes:
    """RFC 7748."""
    other = X25519PublicKey.from_public_bytes(public_key)
    return X25519PrivateKey.from_private_bytes(private_key).exchange(other)


def _x25519_public(private_key: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def _sign(private_key: bytes, content: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(content)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded
