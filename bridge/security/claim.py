"""Claims: what an operator gives to a device, so that it can fetch its key once.

A claim holds an Ed25519 private key (RFC 8032), with which the device signs its request, and the
bridge's public key, with which it checks the answer. The bridge keeps the claim's public key only:
whoever reads the broker, or steals the store, cannot make a request with what is found there.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bridge.security.layout import from_base64url, to_base64url
from bridge.security.mechanism import Kem

CLAIM_PREFIX: Final = "sbe_"
"""What a claim begins with, for who finds one somewhere."""

CLAIM_ID_BYTES: Final = 8
SIGNATURE_BYTES: Final = 64
SIGNING_KEY_BYTES: Final = 32

_VERSION: Final = 1
_LAYOUT: Final = struct.Struct(f">BB{CLAIM_ID_BYTES}s{SIGNING_KEY_BYTES}s{SIGNING_KEY_BYTES}s")
_CHECKSUM_BYTES: Final = 4


class Claim(NamedTuple):
    """A claim, as the device has it.

    Attributes:
        claim_id: Names it; no secret.
        kem: With which mechanism the device's key is sealed.
        secret: Ed25519 private key that signs the request.
        identity: The bridge's Ed25519 public key, which the answer is checked with.
    """

    claim_id: bytes
    kem: Kem
    secret: bytes
    identity: bytes

    def __repr__(self) -> str:
        """Return the claim without its secret: logs and tracebacks show this."""
        return f"Claim({self.claim_id.hex()}, {self.kem.name}, …)"

    @classmethod
    def make(cls, kem: Kem, identity: bytes) -> Claim:
        """Make a new one for a bridge's public key."""
        secret = secrets.token_bytes(SIGNING_KEY_BYTES)
        return cls(secrets.token_bytes(CLAIM_ID_BYTES), kem, secret, identity)

    @classmethod
    def parse(cls, text: str) -> Claim:
        """Read a claim.

        Raises:
            ValueError: It is none, or was not copied whole.
        """
        if not text.startswith(CLAIM_PREFIX):
            raise ValueError(f"a claim begins with {CLAIM_PREFIX}")
        try:
            content = from_base64url(text.removeprefix(CLAIM_PREFIX))
        except ValueError:
            raise ValueError("the claim has characters that no claim has") from None
        body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        if len(body) != _LAYOUT.size or checksum != _checksum(body):
            raise ValueError("the claim was not copied whole: its checksum does not fit")
        version, kem, claim_id, secret, identity = _LAYOUT.unpack(body)
        if version != _VERSION or kem not in Kem.__members__.values():
            raise ValueError(f"the claim is of version {version}, and of kind {kem}: update this")
        return cls(claim_id, Kem(kem), secret, identity)

    @property
    def text(self) -> str:
        """The claim as one word."""
        body = _LAYOUT.pack(_VERSION, self.kem, self.claim_id, self.secret, self.identity)
        return CLAIM_PREFIX + to_base64url(body + _checksum(body))

    @property
    def public_key(self) -> bytes:
        """What the bridge keeps of it."""
        return public_signing_key(self.secret)


def public_signing_key(private_key: bytes) -> bytes:
    """Return the public key of an Ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def sign(private_key: bytes, content: bytes) -> bytes:
    """Sign with an Ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(content)


def is_signed_by(public_key: bytes, signature: bytes, content: bytes) -> bool:
    """Tell whether a signature is that of a public key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECKSUM_BYTES]
