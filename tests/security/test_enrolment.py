"""The request and the answer of an enrolment: what is believed, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.refusal import Refusal
from bridge.security.claim import Claim, public_signing_key
from bridge.security.enrolment import EnrolRequest, Grant, Place
from bridge.security.frame import Algorithm
from bridge.security.kem import open_sealed, public_key_of, seal_to
from bridge.security.mechanism import Kem
from bridge.security.sealing import DeviceKey
from tests.security import second_enrolment as second

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "enrolment.json").read_text()
)
EACH_VECTOR = pytest.mark.parametrize("vector", VECTORS, ids=[v["comment"] for v in VECTORS])
EACH_WAY = pytest.mark.parametrize(
    ("kem", "algorithm"), [(kem, algorithm) for kem in Kem for algorithm in Algorithm]
)
PLACE = Place("lamp-1", "sync/lamp-1/enrol")
BRIDGE_KEY = bytes(range(32))
PRIVATE_KEY = bytes(range(32, 64))
SECRET = bytes(range(64, 96))


def make_claim(kem: Kem = Kem.X25519) -> Claim:
    """Return a claim of this bridge."""
    return Claim.make(kem, public_signing_key(BRIDGE_KEY))


def make_key(algorithm: Algorithm = Algorithm.AES_256_GCM) -> DeviceKey:
    """Return the key that the device is to be given."""
    return DeviceKey("lamp-1", 7, algorithm, SECRET)


def is_signed(request: EnrolRequest, claim: Claim, place: Place = PLACE) -> bool:
    """Tell what the bridge makes of a request."""
    return request.is_signed(place, claim.kem, claim.identity, claim.public_key)


@EACH_WAY
def test_a_device_gets_its_key_by_either_mechanism(kem: Kem, algorithm: Algorithm) -> None:
    """Through the payloads, as they are sent."""
    claim = make_claim(kem)
    request = EnrolRequest.read(EnrolRequest.make(PLACE, claim, PRIVATE_KEY).body)
    assert isinstance(request, EnrolRequest)
    assert is_signed(request, claim)
    key = make_key(algorithm)
    answer = Grant.read(Grant.make(PLACE, kem, request, key, BRIDGE_KEY).body)
    assert answer is not None
    assert answer.open(PLACE, claim, PRIVATE_KEY) == key


@EACH_VECTOR
def test_each_vector_is_made_and_opened(vector: dict[str, Any]) -> None:
    """The documented bytes, by the product."""
    kem, algorithm = Kem(vector["mechanism"]), Algorithm(vector["algorithm"])
    place = Place(vector["device"], vector["topic"])
    claim = Claim.parse(vector["claim"])
    private_key = bytes.fromhex(vector["private_key"])
    assert claim.claim_id.hex() == vector["claim_id"]
    assert claim.secret.hex() == vector["claim_key"]
    assert claim.identity.hex() == vector["bridge_public_key"]
    request = EnrolRequest.make(place, claim, private_key)
    assert request.public_key.hex() == vector["public_key"]
    assert request.signature.hex() == vector["request_signature"]
    grant = Grant(
        vector["key_id"],
        algorithm,
        bytes.fromhex(vector["sealed"]),
        bytes.fromhex(vector["signature"]),
    )
    key = DeviceKey(vector["device"], vector["key_id"], algorithm, bytes.fromhex(vector["key"]))
    assert claim.kem is kem
    assert grant.open(place, claim, private_key) == key


@EACH_VECTOR
def test_a_second_implementation_makes_each_vector(vector: dict[str, Any]) -> None:
    """What is written from the page and the standards alone comes to the same bytes."""
    device, topic, kem = vector["device"], vector["topic"], vector["mechanism"]
    algorithm, key_id = vector["algorithm"], vector["key_id"]
    claim_id, private_key = bytes.fromhex(vector["claim_id"]), bytes.fromhex(vector["private_key"])
    public_key, sealed = bytes.fromhex(vector["public_key"]), bytes.fromhex(vector["sealed"])
    about = second.info(device, topic, claim_id, key_id, algorithm)
    assert second.public_key_of(kem, private_key) == public_key
    assert about.hex() == vector["info"]
    signed = second.sign_request(
        device,
        topic,
        claim_id,
        kem,
        bytes.fromhex(vector["claim_key"]),
        bytes.fromhex(vector["bridge_public_key"]),
        public_key,
    )
    assert signed.hex() == vector["request_signature"]
    opened = second.open_sealed(kem, algorithm, private_key, about, sealed)
    assert opened.hex() == vector["key"]
    bridge_key = bytes.fromhex(vector["bridge_key"])
    granted = second.sign_grant(
        device, topic, claim_id, kem, bridge_key, public_key, key_id, algorithm, sealed
    )
    assert granted.hex() == vector["signature"]
    if "ephemeral_key" in vector:
        ephemeral = bytes.fromhex(vector["ephemeral_key"])
        again = second.seal_with(ephemeral, algorithm, public_key, about, opened)
        assert again == sealed


@settings(max_examples=30, deadline=None)
@given(
    private_key=st.binary(min_size=32, max_size=32),
    about=st.binary(max_size=100),
    content=st.binary(min_size=32, max_size=32),
    algorithm=st.sampled_from(Algorithm),
    kem=st.sampled_from(Kem),
)
def test_both_implementations_open_what_the_product_seals(
    private_key: bytes, about: bytes, content: bytes, algorithm: Algorithm, kem: Kem
) -> None:
    """Whatever is sealed, for whomever."""
    public_key = public_key_of(kem, private_key)
    assert public_key == second.public_key_of(kem, private_key)
    sealed = seal_to(kem, algorithm, public_key, about, content)
    assert len(sealed) == kem.encapsulation_bytes + len(content) + 16
    assert second.open_sealed(kem, algorithm, private_key, about, sealed) == content
    assert open_sealed(kem, algorithm, private_key, about, sealed) == content


def test_the_second_implementation_keeps_to_the_rfc() -> None:
    """RFC 9180, appendix A.2.1: the encapsulation, and what is derived from it."""
    ephemeral = bytes.fromhex("f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600")
    public_key = bytes.fromhex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    private_key = bytes.fromhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
    encapsulated = bytes.fromhex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
    assert second.public_key_of(1, private_key) == public_key
    assert second.public_key_of(1, ephemeral) == encapsulated
    shared = second.dhkem_secret(second.x25519(ephemeral, public_key), encapsulated + public_key)
    assert shared.hex() == "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7"
    key, nonce = second.key_schedule(1, 2, shared, b"Ode on a Grecian Urn")
    assert key.hex() == "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91"
    assert nonce.hex() == "5c4d98150661b848853b547f"


def test_a_public_key_that_was_changed_on_its_way_is_noticed() -> None:
    """It would have the bridge seal the key for somebody else."""
    claim = make_claim()
    request = EnrolRequest.make(PLACE, claim, PRIVATE_KEY)
    other = public_key_of(Kem.X25519, SECRET)
    assert not is_signed(request._replace(public_key=other), claim)


def test_a_request_is_for_one_device_topic_claim_and_bridge() -> None:
    """Moved to another, its signature does not fit."""
    claim = make_claim()
    request = EnrolRequest.make(PLACE, claim, PRIVATE_KEY)
    assert is_signed(request, claim)
    assert not is_signed(request, claim, PLACE._replace(device="lamp-2"))
    assert not is_signed(request, claim, PLACE._replace(topic="other/lamp-1/enrol"))
    assert not is_signed(request._replace(claim_id=bytes(8)), claim)
    assert not is_signed(request, claim._replace(identity=bytes(32)))
    assert not is_signed(request, claim._replace(kem=Kem.MLKEM768_X25519))
    assert not is_signed(request, make_claim())


def test_an_answer_is_for_one_request() -> None:
    """Of another bridge, for another device, claim or key pair, or with any part changed."""
    claim = make_claim()
    request = EnrolRequest.make(PLACE, claim, PRIVATE_KEY)
    grant = Grant.make(PLACE, claim.kem, request, make_key(), BRIDGE_KEY)
    assert grant.open(PLACE, claim, PRIVATE_KEY) is not None
    assert grant.open(PLACE._replace(device="lamp-2"), claim, PRIVATE_KEY) is None
    assert grant.open(PLACE._replace(topic="other/lamp-1/enrol"), claim, PRIVATE_KEY) is None
    assert grant.open(PLACE, claim._replace(claim_id=bytes(8)), PRIVATE_KEY) is None
    assert grant.open(PLACE, claim, SECRET) is None
    assert grant._replace(key_id=8).open(PLACE, claim, PRIVATE_KEY) is None
    assert grant._replace(algorithm=2).open(PLACE, claim, PRIVATE_KEY) is None
    forged = Grant.make(PLACE, claim.kem, request, make_key(), SECRET)
    assert forged.open(PLACE, claim, PRIVATE_KEY) is None
    for position in range(8 * len(grant.sealed)):
        changed = bytearray(grant.sealed)
        changed[position // 8] ^= 1 << position % 8
        assert grant._replace(sealed=bytes(changed)).open(PLACE, claim, PRIVATE_KEY) is None


def test_what_the_bridge_has_signed_must_also_open() -> None:
    """A key that is too short, an algorithm that is not known, a seal for somebody else."""
    claim = make_claim()
    request = EnrolRequest.make(PLACE, claim, PRIVATE_KEY)

    def signed(sealed: bytes, algorithm: int = 1) -> Grant:
        signature = second.sign_grant(
            *PLACE, claim.claim_id, 1, BRIDGE_KEY, request.public_key, 7, algorithm, sealed
        )
        return Grant(7, algorithm, sealed, signature)

    about = second.info(*PLACE, claim.claim_id, 7, 1)
    good = second.seal_with(SECRET, 1, request.public_key, about, SECRET)
    assert signed(good).open(PLACE, claim, PRIVATE_KEY) == make_key()
    short = second.seal_with(SECRET, 1, request.public_key, about, SECRET[:31])
    other = second.seal_with(SECRET, 1, public_key_of(Kem.X25519, SECRET), about, SECRET)
    for sealed in (short, other, b"", good[:47], bytes(len(good))):
        assert signed(sealed).open(PLACE, claim, PRIVATE_KEY) is None
    assert signed(good, algorithm=3).open(PLACE, claim, PRIVATE_KEY) is None


BODY = EnrolRequest.make(PLACE, make_claim(), PRIVATE_KEY).body


@pytest.mark.parametrize(
    "change",
    [
        {"claim": None},
        {"claim": "00"},
        {"claim": "g" * 16},
        {"claim": "0 " * 8},
        {"claim": 7},
        {"public_key": None},
        {"public_key": "AAAA"},
        {"public_key": BODY["public_key"] + "="},
        {"public_key": ["AAAA"]},
        {"signature": None},
        {"signature": "AAAA"},
        {"signature": "%" * 86},
        {"kem": 1},
    ],
)
def test_what_is_no_request_is_refused(change: dict[str, object]) -> None:
    """With what is wrong, and no exception."""
    body = {name: value for name, value in {**BODY, **change}.items() if value is not None}
    refusal = EnrolRequest.read(body)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.error) == (400, "bad_enrolment")


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["key_id", "algorithm", "sealed", "signature", "$"]),
        st.none() | st.booleans() | st.integers() | st.text("AZ_-=", max_size=20) | st.floats(),
    )
)
def test_no_body_makes_the_device_fail(body: dict[str, object]) -> None:
    """What is no answer of the bridge's is none, whatever it is."""
    grant = Grant.read(body)
    assert grant is None or grant.open(PLACE, make_claim(), PRIVATE_KEY) is None


def test_a_point_of_low_order_is_no_public_key() -> None:
    """What would be agreed on with it, everybody knows."""
    with pytest.raises(ValueError):
        seal_to(Kem.X25519, Algorithm.AES_256_GCM, bytes(32), b"", SECRET)
