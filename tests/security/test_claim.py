"""Claims: what they are as text, and what is no claim."""

from __future__ import annotations

import hashlib

import pytest

from bridge.security.claim import Claim, is_signed_by, sign
from bridge.security.layout import from_base64url, to_base64url
from bridge.security.mechanism import Kem

IDENTITY = bytes(range(32))


def make_claim(kem: Kem = Kem.X25519) -> Claim:
    """Return a new claim."""
    return Claim.make(kem, IDENTITY)


@pytest.mark.parametrize("kem", list(Kem))
def test_a_claim_is_one_word_that_leads_back_to_it(kem: Kem) -> None:
    """It can be selected with two clicks, and typed."""
    claim = make_claim(kem)
    assert claim.text.startswith("sbe_")
    assert len(claim.text) == 4 + 104
    assert claim.text.replace("-", "").replace("_", "").isalnum()
    assert Claim.parse(claim.text) == claim


def test_no_two_claims_are_alike() -> None:
    """Neither their ids nor their secrets."""
    claims = [make_claim() for _ in range(20)]
    assert len({claim.claim_id for claim in claims}) == 20
    assert len({claim.secret for claim in claims}) == 20


def test_every_character_of_a_claim_counts() -> None:
    """A claim that was copied wrongly is not tried: the message says so."""
    text = make_claim().text
    for position in range(len(text)):
        other = "A" if text[position] != "A" else "B"
        with pytest.raises(ValueError, match="claim"):
            Claim.parse(text[:position] + other + text[position + 1 :])
    for wrong in ("", "sbe_", text[:-1], text + "A", text + "=", text[:40] + " " + text[40:]):
        with pytest.raises(ValueError, match="claim"):
            Claim.parse(wrong)


@pytest.mark.parametrize(("at", "value"), [(0, 2), (1, 0), (1, 3)])
def test_a_claim_of_a_later_version_is_not_guessed_at(at: int, value: int) -> None:
    """Nor one of a mechanism that is not known, though its checksum fits."""
    content = bytearray(from_base64url(make_claim().text.removeprefix("sbe_"))[:-4])
    content[at] = value
    checksum = hashlib.sha256(content).digest()[:4]
    with pytest.raises(ValueError, match="update"):
        Claim.parse("sbe_" + to_base64url(bytes(content) + checksum))


def test_a_claim_shows_no_secret() -> None:
    """In a log or a traceback."""
    claim = make_claim()
    for shown in (repr(claim), str(claim), f"{[claim]}"):
        assert claim.claim_id.hex() in shown
        assert claim.secret.hex() not in shown
        assert repr(claim.secret)[2:-1] not in shown


def test_a_signature_is_the_claims_and_of_its_content() -> None:
    """Of nothing else, and no garbage is one."""
    claim, content = make_claim(), b"content"
    signature = sign(claim.secret, content)
    assert is_signed_by(claim.public_key, signature, content)
    assert not is_signed_by(claim.public_key, signature, b"other content")
    assert not is_signed_by(make_claim().public_key, signature, content)
    assert not is_signed_by(claim.public_key, signature[:-1], content)
    assert not is_signed_by(b"short", signature, content)


@pytest.mark.parametrize("text", ["=", "AA==", "A", "A A", "AA+/", "ä", "AA\n"])
def test_other_texts_are_no_base64url(text: str) -> None:
    """Python's own decoder passes over what it does not know."""
    with pytest.raises(ValueError):
        from_base64url(text)
