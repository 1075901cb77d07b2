"""The routes of claims: what is made, and what is asked for wrongly and why."""

from __future__ import annotations

import pytest

from bridge.api import AdminClient
from bridge.api.claims import EXPIRES_S_MAX
from bridge.errors import AdminRefused
from bridge.security.claim import Claim
from bridge.security.frame import Algorithm
from bridge.store import sqlite_claims
from bridge.store.claims import StoredIdentity
from tests.api.held import Holder

ASKED: dict[str, object] = {"device": "lamp-1", "expires_s": 60}


@pytest.fixture(autouse=True)
def identity(held: Holder) -> bytes:
    """The public key of the bridge of this store."""
    return held.store.claims.keep_identity(StoredIdentity(bytes(range(32)), b"", 1)).public_key


def test_a_claim_is_made_for_the_bridge_of_the_store(
    held: Holder, client: AdminClient, identity: bytes
) -> None:
    """What is kept of it is what checks it; the algorithm is the safest that all have."""
    claim = Claim.parse(str(client.create_claim(ASKED)["claim"]))
    assert claim.identity == identity
    (row,) = held.store.claims.list_all()
    assert (row.id, row.public_key) == (claim.claim_id.hex(), claim.public_key)
    assert row.algorithm == Algorithm.AES_256_GCM
    assert "claim" not in str(client.claims()["claims"])


def test_the_audit_trail_tells_who_made_and_withdrew_a_claim(
    held: Holder, client: AdminClient
) -> None:
    """What was done, and nothing secret; what was not done is not told."""
    made = client.create_claim(ASKED)
    client.withdraw_claim(str(made["id"]))
    with pytest.raises(AdminRefused, match="could be withdrawn"):
        client.withdraw_claim(str(made["id"]))
    rows = held.store.audit(10)
    assert [(row.act, row.target) for row in rows] == [
        ("claim.withdraw", made["id"]),
        ("claim.create", made["id"]),
    ]
    assert rows[1].via == "socket"
    assert "lamp-1" in rows[1].details
    assert str(made["claim"]) not in str(rows)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"device": "a/b"}, "device"),
        ({"device": None}, "device"),
        ({"expires_s": 0}, "expires_s"),
        ({"expires_s": EXPIRES_S_MAX + 1}, "expires_s"),
        ({"expires_s": "60"}, "expires_s"),
        ({"algorithm": "rot13"}, "algorithm"),
        ({"algorithm": None}, "algorithm"),
        ({"algorithm": 1}, "algorithm"),
        ({"algorithm": []}, "algorithm"),
    ],
)
def test_what_is_asked_for_wrongly_is_named(
    held: Holder, client: AdminClient, wrong: dict[str, object], named: str
) -> None:
    """And nothing is made."""
    with pytest.raises(AdminRefused, match=named) as refused:
        client.create_claim({**ASKED, **wrong})
    assert refused.value.status == 400
    assert held.store.claims.list_all() == []


def test_too_many_claims_are_refused(client: AdminClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    monkeypatch.setattr(sqlite_claims, "CLAIMS_KEPT", 1)
    client.create_claim(ASKED)
    with pytest.raises(AdminRefused, match="claims are kept already") as refused:
        client.create_claim(ASKED)
    assert "after a month" in refused.value.hint
