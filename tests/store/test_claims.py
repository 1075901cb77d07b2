"""Claims in every kind of store: what is kept of them, and that each is taken once."""

from __future__ import annotations

import pytest

from bridge.security.claim import Claim
from bridge.security.mechanism import Kem
from bridge.store import sqlite_claims
from bridge.store.base import Store
from bridge.store.claims import ENDED_KEPT_US, StoredClaim, StoredIdentity, TakenClaim
from tests.store.conftest import OpenStore

WRAPPED = b"\x01" + bytes(60)
CLAIM = StoredClaim("0011", "lamp-1", 1, 2, b"public", 100, 200)


def take(store: Store, now: int, device: str = "lamp-1", claim_id: str = "0011") -> bool:
    """Install a device's next key under a claim, and tell whether that was done."""
    keys = store.device_keys
    taking = TakenClaim(claim_id, b"hash")
    return keys.install(device, keys.next_id(device), 1, WRAPPED, now, taking) is not None


def test_a_claim_comes_back_as_it_was_kept(open_store: OpenStore) -> None:
    """Also from a store that was closed meanwhile."""
    store = open_store()
    assert store.claims.add(CLAIM)
    store.close()
    claims = open_store().claims
    assert claims.find("0011") == claims.list_all()[0] == CLAIM
    assert claims.find("0012") is None


def test_a_claim_is_taken_with_the_key_or_not_at_all(store: Store) -> None:
    """Once, in its time, and by its device."""
    store.claims.add(CLAIM)
    assert not take(store, 200)
    assert not take(store, 150, device="lamp-2")
    assert not take(store, 150, claim_id="0012")
    assert store.device_keys.list_all() == []
    assert take(store, 199)
    assert not take(store, 199)
    assert [key.key_id for key in store.device_keys.list_all()] == [1]
    taken = CLAIM._replace(taken_at=199, taken_by=b"hash", key_id=1)
    assert store.claims.find("0011") == taken


def test_a_key_that_cannot_be_kept_takes_no_claim(store: Store) -> None:
    """Its id is another's already."""
    store.claims.add(CLAIM)
    assert store.device_keys.install("lamp-1", 5, 1, WRAPPED, 1) is not None
    taking = TakenClaim("0011", b"hash")
    assert store.device_keys.install("lamp-1", 5, 1, WRAPPED, 150, taking) is None
    assert store.claims.find("0011") == CLAIM


def test_a_withdrawn_claim_is_not_taken_and_a_taken_one_not_withdrawn(store: Store) -> None:
    """Whichever comes first."""
    store.claims.add(CLAIM)
    store.claims.add(CLAIM._replace(id="0022"))
    assert store.claims.withdraw("0011", 120)
    assert not store.claims.withdraw("0011", 130)
    assert not store.claims.withdraw("0033", 130)
    assert not take(store, 150)
    assert take(store, 150, claim_id="0022")
    assert not store.claims.withdraw("0022", 160)
    found = store.claims.find("0011")
    assert found is not None
    assert found.withdrawn_at == 120


def test_refusals_are_counted_for_the_operator(store: Store) -> None:
    """The last one with its name and its time."""
    store.claims.add(CLAIM)
    store.claims.note_refusal("0011", "claim_expired", 300)
    store.claims.note_refusal("0011", "claim_used", 400)
    store.claims.note_refusal("0044", "claim_used", 400)
    expected = CLAIM._replace(refused=2, refused_at=400, refusal="claim_used")
    assert store.claims.list_all() == [expected]


def test_claims_are_bounded_and_ended_ones_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a month; an open one stays."""
    monkeypatch.setattr(sqlite_claims, "CLAIMS_KEPT", 2)
    late = ENDED_KEPT_US + 1000
    assert store.claims.add(CLAIM)
    assert store.claims.add(CLAIM._replace(id="0022", expires_at=late + 1))
    third = CLAIM._replace(id="0033", created_at=ENDED_KEPT_US + 200, expires_at=late)
    assert not store.claims.add(third)
    assert store.claims.add(third._replace(created_at=ENDED_KEPT_US + 201))
    assert [claim.id for claim in store.claims.list_all()] == ["0033", "0022"]


def test_there_is_one_identity(open_store: OpenStore) -> None:
    """The first that was kept, for ever."""
    store = open_store()
    assert store.claims.identity() is None
    first = StoredIdentity(b"public", WRAPPED, 7)
    assert store.claims.keep_identity(first) == first
    assert store.claims.keep_identity(StoredIdentity(b"other", WRAPPED, 8)) == first
    store.close()
    assert open_store().claims.identity() == first
    assert WRAPPED.hex() not in repr(first)


def test_a_claim_of_the_product_can_be_kept(store: Store) -> None:
    """Of its secret nothing is."""
    claim = Claim.make(Kem.X25519, bytes(32))
    row = CLAIM._replace(id=claim.claim_id.hex(), public_key=claim.public_key)
    store.claims.add(row)
    assert claim.secret not in store.claims.list_all()[0].public_key
