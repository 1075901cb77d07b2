"""How a device fetches its key: the request, the answer, and what is signed in each.

docs/enrolment.md draws the bytes. The device signs with its claim, so that nobody can put another
public key in its place; the bridge signs with its identity key, so that nobody can give the device
a key of theirs. Both signatures cover the device and the whole topic.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from bridge.core.refusal import Refusal
from bridge.security.claim import (
    CLAIM_ID_BYTES,
    SIGNATURE_BYTES,
    Claim,
    is_signed_by,
    sign,
)
from bridge.security.frame import KEY_ID_MAX, Algorithm
from bridge.security.kem import open_sealed, public_key_of, seal_to
from bridge.security.layout import counted, from_base64url, to_base64url
from bridge.security.mechanism import Kem
from bridge.security.primitives import KEY_BYTES
from bridge.security.sealing import DeviceKey

_REQUEST: Final = b"syncbridge/1 claim"
_ANSWER: Final = b"syncbridge/1 grant"
_INFO: Final = b"syncbridge/1 key"

_REQUEST_KEYS: Final = frozenset({"claim", "public_key", "signature"})


class Place(NamedTuple):
    """Who is enrolled, and where it asks: the whole topic, with its prefix."""

    device: str
    topic: str

    @property
    def covered(self) -> bytes:
        """What signatures and seals cover of it."""
        return counted(self.device) + counted(self.topic)


class EnrolRequest(NamedTuple):
    """What a device publishes.

    Attributes:
        claim_id: Which claim it has.
        public_key: Its own, for HPKE; its length depends on the claim.
        signature: Made with the claim.
    """

    claim_id: bytes
    public_key: bytes
    signature: bytes

    @classmethod
    def make(cls, place: Place, claim: Claim, private_key: bytes) -> EnrolRequest:
        """Sign a request for the private key of a device."""
        public_key = public_key_of(claim.kem, private_key)
        content = _request_content(place, claim.claim_id, claim.kem, claim.identity, public_key)
        return cls(claim.claim_id, public_key, sign(claim.secret, content))

    @classmethod
    def read(cls, body: Mapping[str, object]) -> EnrolRequest | Refusal:
        """Read a decoded payload without its `$`; a refusal (400) where it is no request."""
        unknown = body.keys() - _REQUEST_KEYS
        if unknown:
            return _bad_request(
                f"{min(unknown)[:40]!r} is not known; known: {', '.join(sorted(_REQUEST_KEYS))}"
            )
        claim = body.get("claim")
        if not isinstance(claim, str) or len(claim) != 2 * CLAIM_ID_BYTES:
            return _bad_request(f"claim is not {2 * CLAIM_ID_BYTES} hexadecimal digits")
        try:
            claim_id = bytes.fromhex(claim)
        except ValueError:
            claim_id = b""
        public_key = _bytes_in(body, "public_key")
        signature = _bytes_in(body, "signature")
        if len(claim_id) != CLAIM_ID_BYTES:
            return _bad_request(f"claim is not {2 * CLAIM_ID_BYTES} hexadecimal digits")
        if public_key is None or len(public_key) not in {kem.public_key_bytes for kem in Kem}:
            return _bad_request("public_key is no public key in base64url without padding")
        if signature is None or len(signature) != SIGNATURE_BYTES:
            return _bad_request("signature is no signature in base64url without padding")
        return cls(claim_id, public_key, signature)

    @property
    def body(self) -> dict[str, str]:
        """The payload without its `$`."""
        return {
            "claim": self.claim_id.hex(),
            "public_key": to_base64url(self.public_key),
            "signature": to_base64url(self.signature),
        }

    def is_signed(self, place: Place, kem: Kem, identity: bytes, claim_public_key: bytes) -> bool:
        """Tell whether it was made with the claim of this public key, for this bridge."""
        content = _request_content(place, self.claim_id, kem, identity, self.public_key)
        return is_signed_by(claim_public_key, self.signature, content)


class Grant(NamedTuple):
    """What the bridge answers.

    Attributes:
        key_id: Of the device's new key.
        algorithm: What the key is used with; its number may be none that is known.
        sealed: The key, sealed with HPKE for the public key of the request.
        signature: Made with the bridge's identity key.
    """

    key_id: int
    algorithm: int
    sealed: bytes
    signature: bytes

    @classmethod
    def make(
        cls, place: Place, kem: Kem, request: EnrolRequest, key: DeviceKey, identity_key: bytes
    ) -> Grant:
        """Seal a device's key, and sign the answer with the bridge's private key.

        Raises:
            ValueError: The public key of the request is none.
        """
        number, algorithm = key.key_id, key.algorithm
        info = _info(place, request.claim_id, number, algorithm)
        sealed = seal_to(kem, algorithm, request.public_key, info, key.secret)
        content = _grant_content(
            place, request.claim_id, kem, request.public_key, number, algorithm, sealed
        )
        return cls(number, algorithm, sealed, sign(identity_key, content))

    @classmethod
    def read(cls, body: Mapping[str, object]) -> Grant | None:
        """Read a decoded payload; None where it is no grant."""
        key_id, algorithm = body.get("key_id"), body.get("algorithm")
        sealed, signature = _bytes_in(body, "sealed"), _bytes_in(body, "signature")
        if not isinstance(key_id, int) or not 0 <= key_id <= KEY_ID_MAX:
            return None
        if not isinstance(algorithm, int) or not 0 <= algorithm <= 255:
            return None
        if sealed is None or signature is None:
            return None
        return cls(key_id, algorithm, sealed, signature)

    @property
    def body(self) -> dict[str, str | int]:
        """The payload without its `$`."""
        return {
            "key_id": self.key_id,
            "algorithm": int(self.algorithm),
            "sealed": to_base64url(self.sealed),
            "signature": to_base64url(self.signature),
        }

    def open(self, place: Place, claim: Claim, private_key: bytes) -> DeviceKey | None:
        """Check the bridge's signature and open the key; None where either fails.

        Args:
            place: Where the request was published.
            claim: The device's claim.
            private_key: The private key whose public key was in the request.
        """
        kem, claim_id = claim.kem, claim.claim_id
        public_key = public_key_of(kem, private_key)
        content = _grant_content(
            place, claim_id, kem, public_key, self.key_id, self.algorithm, self.sealed
        )
        # First of all: what the bridge has not signed is not even looked at.
        if not is_signed_by(claim.identity, self.signature, content):
            return None
        if self.algorithm not in Algorithm.__members__.values():
            return None
        algorithm = Algorithm(self.algorithm)
        info = _info(place, claim_id, self.key_id, algorithm)
        secret = open_sealed(kem, algorithm, private_key, info, self.sealed)
        if secret is None or len(secret) != KEY_BYTES:
            return None
        return DeviceKey(place.device, self.key_id, algorithm, secret)


def _request_content(
    place: Place, claim_id: bytes, kem: Kem, identity: bytes, public_key: bytes
) -> bytes:
    return b"".join((_REQUEST, place.covered, claim_id, bytes([kem]), identity, public_key))


def _grant_content(
    place: Place,
    claim_id: bytes,
    kem: Kem,
    public_key: bytes,
    key_id: int,
    algorithm: int,
    sealed: bytes,
) -> bytes:
    numbers = struct.pack(">IB", key_id, algorithm)
    return b"".join((_ANSWER, place.covered, claim_id, bytes([kem]), public_key, numbers, sealed))


def _info(place: Place, claim_id: bytes, key_id: int, algorithm: int) -> bytes:
    return b"".join((_INFO, place.covered, claim_id, struct.pack(">IB", key_id, algorithm)))


def _bytes_in(body: Mapping[str, object], name: str) -> bytes | None:
    text = body.get(name)
    if not isinstance(text, str):
        return None
    try:
        return from_base64url(text)
    except ValueError:
        return None


def _bad_request(why: str) -> Refusal:
    return Refusal(400, "bad_enrolment", f"enrol: {why}")
