"""Project Wycheproof's vectors, on the functions that seal and open."""

from __future__ import annotations

import json

import pytest

from bridge.security.frame import Algorithm
from bridge.security.primitives import derive, make_aead, open_or_none
from tests.docs.markdown import ROOT

VECTORS = ROOT / "tests" / "data" / "wycheproof"
AEADS = {
    "aes-256-gcm": Algorithm.AES_256_GCM,
    "chacha20-poly1305": Algorithm.CHACHA20_POLY1305,
}

Vector = dict[str, str]


def vectors(name: str) -> list[Vector]:
    """Return the vectors of a file."""
    found: list[Vector] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


def of(vector: Vector, *names: str) -> list[bytes]:
    """Return members of a vector as bytes."""
    return [bytes.fromhex(vector[name]) for name in names]


@pytest.mark.parametrize("name", AEADS)
def test_what_is_valid_is_sealed_and_opened_as_the_vectors_say(name: str) -> None:
    """The same ciphertext and tag, and back."""
    valid = [vector for vector in vectors(name) if vector["result"] == "valid"]
    assert len(valid) > 20
    for vector in valid:
        key, nonce, data, message, sealed, tag = of(vector, "key", "iv", "aad", "msg", "ct", "tag")
        aead = make_aead(AEADS[name], key)
        assert aead.encrypt(nonce, message, data) == sealed + tag, vector["tcId"]
        assert open_or_none(aead, nonce, sealed + tag, data) == message, vector["tcId"]


@pytest.mark.parametrize("name", AEADS)
def test_what_is_not_valid_is_not_opened(name: str) -> None:
    """Tags with bits flipped, all ones, all zeros, and so on."""
    invalid = [vector for vector in vectors(name) if vector["result"] != "valid"]
    assert len(invalid) > 10
    for vector in invalid:
        key, nonce, data, sealed, tag = of(vector, "key", "iv", "aad", "ct", "tag")
        aead = make_aead(AEADS[name], key)
        assert open_or_none(aead, nonce, sealed + tag, data) is None, vector["tcId"]


def test_keys_are_derived_as_the_vectors_say() -> None:
    """Of RFC 5869, and more."""
    all_of_them = vectors("hkdf-sha256")
    assert len(all_of_them) > 50
    for vector in all_of_them:
        secret, salt, info, derived = of(vector, "ikm", "salt", "info", "okm")
        assert derive(secret, salt, info, int(vector["size"])) == derived, vector["tcId"]
