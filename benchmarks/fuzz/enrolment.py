"""Targets of enrolment: what bridge and device read of each other, the claim, and the key's file.

What is authentic are the test vectors: nothing else may be taken for it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final, NamedTuple

from benchmarks.fuzz.corpus import REPOSITORY
from benchmarks.fuzz.scratch import scratch_file
from benchmarks.fuzz.target import Run, Target, require
from bridge.core.limits import Limits
from bridge.core.refusal import Refusal
from bridge.device.enrolment import Enrolment
from bridge.device.key_file import read_device_key, write_device_key
from bridge.device.payload import decode
from bridge.device.private_file import read_private
from bridge.errors import ConfigError, NotGenuine, Refused
from bridge.security.claim import CLAIM_PREFIX, SIGNATURE_BYTES, Claim, _checksum
from bridge.security.enrolment import EnrolRequest, Grant, Place
from bridge.security.frame import Algorithm
from bridge.security.layout import to_base64url
from bridge.security.mechanism import Kem
from bridge.security.sealing import DeviceKey
from bridge.wire.inbound import decode_body

REQUEST_ID: Final = "7d0c"

_VECTORS = REPOSITORY / "tests" / "data" / "enrolment.json"
_LIMITS = Limits(payload_bytes=4096)
_RAW_BODY: Final = b"\x00"
"""Begins the input of a claim that is made of what follows, with the checksum that fits."""


class Authentic(NamedTuple):
    """One enrolment that really took place, the same each time."""

    place: Place
    claim: Claim
    private_key: bytes
    request: EnrolRequest
    identity_key: bytes
    grant: Grant
    key: DeviceKey


@cache
def authentic() -> tuple[Authentic, ...]:
    """Return the test vectors."""
    vectors = json.loads(_VECTORS.read_text(encoding="ascii"))
    return tuple(map(_authentic, vectors))


def _authentic(vector: dict[str, Any]) -> Authentic:
    place = Place(vector["device"], vector["topic"])
    claim = Claim.parse(vector["claim"])
    private_key = bytes.fromhex(vector["private_key"])
    sealed, signature = bytes.fromhex(vector["sealed"]), bytes.fromhex(vector["signature"])
    key_id, algorithm = vector["key_id"], Algorithm(vector["algorithm"])
    return Authentic(
        place,
        claim,
        private_key,
        EnrolRequest.make(place, claim, private_key),
        bytes.fromhex(vector["bridge_key"]),
        Grant(key_id, algorithm, sealed, signature),
        DeviceKey(place.device, key_id, algorithm, bytes.fromhex(vector["key"])),
    )


def _request() -> Run:
    known = {each.claim.claim_id: each for each in authentic()}
    any_of_them = authentic()[0]

    def run(data: bytes) -> None:
        body = decode_body(data, _LIMITS)
        if body.refusal is not None:
            return
        request = EnrolRequest.read(body.state)
        if isinstance(request, Refusal):
            require(request[:2] == (400, "bad_enrolment"), "what is no request is refused as such")
            return
        require(EnrolRequest.read(request.body) == request, "what is taken can be sent again")
        require(len(request.signature) == SIGNATURE_BYTES, "a signature has its length")
        made = known.get(request.claim_id, any_of_them)
        claim = made.claim
        if request.is_signed(made.place, claim.kem, claim.identity, claim.public_key):
            require(request == made.request, "nothing is signed but what the claim has signed")
        _grant(made, request)

    return run


def _grant(made: Authentic, request: EnrolRequest) -> None:
    """Answer, whoever has signed: who has a claim may send any public key."""
    for kem in Kem:
        if len(request.public_key) == kem.public_key_bytes:
            try:
                grant = Grant.make(made.place, kem, request, made.key, made.identity_key)
            except ValueError:
                return
            require(Grant.read(grant.body) == grant, "what is answered can be read")


def _answer() -> Run:
    enrolments = []
    for made in authentic():
        device, claim = made.place.device, made.claim.text
        enrolment = Enrolment(device, claim, private_key=made.private_key)
        enrolment._request_id = REQUEST_ID
        enrolments.append((enrolment, made))

    def run(data: bytes) -> None:
        for enrolment, made in enrolments:
            try:
                key = enrolment.read_answer(data)
            except (Refused, NotGenuine) as error:
                str(error)
                continue
            if key is not None:
                require(key == made.key, "no key is taken but the one that was given")
                require(Grant.read(decode(data)) == made.grant, "nor with another signature")

    return run


def _claim() -> Run:
    made = authentic()[0]

    def run(data: bytes) -> None:
        if data[:1] == _RAW_BODY:
            body = data[1:]
            text = CLAIM_PREFIX + to_base64url(body + _checksum(body))
        else:
            text = data.decode(errors="replace")
        try:
            enrolment = Enrolment(made.place.device, text, private_key=made.private_key)
        except ValueError:
            return
        claim = enrolment.claim
        require(claim.text == text.strip(), "a claim is written as it was read")
        request = EnrolRequest.read(decode_body(enrolment.request.payload, _LIMITS).state)
        require(
            isinstance(request, EnrolRequest)
            and request.is_signed(made.place, claim.kem, claim.identity, claim.public_key),
            "what is signed with a claim is known as that",
        )

    return run


def _key_file() -> Run:
    path = scratch_file("lamp-1.key")
    path.touch(mode=0o600)

    def run(data: bytes) -> None:
        path.write_bytes(data)
        # What an enrolment that was broken off has left is read so.
        read_private(path)
        try:
            key = read_device_key(path)
        except ConfigError as error:
            str(error)
            return
        write_device_key(path, key)
        require(read_device_key(path) == key, "a key is read as it was written")

    return run


_JSON = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"-1", b"1e9", b"4294967296",
    b"\\u0000", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe",
)  # fmt: skip
_BASE64URL = (b"A", b"_", b"-", b"=", b"+", b"AAAA", b"____")

TARGETS = (
    Target(
        "enrolment",
        _request,
        400_000,
        (*_JSON, *_BASE64URL, b'"claim":', b'"public_key":', b'"signature":', b'"$":{"id":"a"}',
         b'"555ae1423b3092c3"', b'"' + b"A" * 43 + b'"', b'"' + b"A" * 86 + b'"'),
        length_max=2048,
    ),
    Target(
        "grant",
        _answer,
        400_000,
        (*_JSON, *_BASE64URL, b'"key_id":', b'"algorithm":', b'"sealed":', b'"signature":',
         b'"$":{"id":"7d0c","ok":true}', b'"ok":false', b'"code":429', b'"error":"a"'),
        length_max=2048,
    ),
    Target(
        "claim",
        _claim,
        200_000,
        (CLAIM_PREFIX.encode(), *_BASE64URL, _RAW_BODY, b"\x01\x01", b"\x01\x02", b"\n", b" ",
         b"\xc3\xa9"),
        length_max=256,
    ),
    Target(
        "keyfile",
        _key_file,
        400_000,
        (*_JSON, b'"device":', b'"key_id":', b'"algorithm":', b'"key":', b'"aes-256-gcm"',
         b'"chacha20-poly1305"', b'"claim":', b'"private_key":', b"5a" * 32),
        length_max=4200,
    ),
)  # fmt: skip
