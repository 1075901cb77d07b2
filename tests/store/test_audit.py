"""The audit trail in the store: written with its act, bounded, searched."""

from __future__ import annotations

import pytest

from bridge.errors import StoreError
from bridge.store.audit import ALL_ACTS, AuditFilter, AuditRow, Via
from bridge.store.base import CommitBatch, Store, StoreLimits
from bridge.store.quarantined import EVERYTHING
from bridge.store.tokens import StoredToken
from tests.store.conftest import OpenStore
from tests.store.samples import NOON, commit, conflict, refused, twin


def row(number: int, via: Via = "socket", who: str = "root") -> AuditRow:
    """An act."""
    return AuditRow(NOON + number, via, who, "token.create", f"t{number}", "done", '{"n":1}')


def acts(store: Store, wanted: AuditFilter = ALL_ACTS) -> list[str]:
    """What was done to what, the newest first."""
    return [f"{act.act} {act.target}" for act in store.audit(1000, None, wanted)]


def test_acts_come_back_as_they_were_the_newest_first(store: Store) -> None:
    """With ids that grow."""
    store.record([row(1), row(2)])
    second, first = store.audit(10)
    assert (first._replace(id=0), second._replace(id=0)) == (row(1), row(2))
    assert store.audit(10, before=second.id) == [first]
    assert store.audit(1) == [second]


def test_an_act_is_written_with_what_it_does_or_not_at_all(store: Store) -> None:
    """A commit that is stale, or fails, leaves no trace of its acts."""
    commit(store, [twin()])
    assert store.commit(CommitBatch(twins=[twin()], acts=[row(1)]))
    with pytest.raises(StoreError):
        store.commit(CommitBatch(conflicts=[conflict(1, "nobody")], acts=[row(2)]))
    assert acts(store) == []
    store.commit(CommitBatch(twins=[twin(revision=2)], acts=[row(3)]))
    assert acts(store) == ["token.create t3"]


def test_what_did_nothing_to_tokens_is_not_written(store: Store) -> None:
    """Revoking one that is not there."""
    token = StoredToken("t1", "anna", b"hash", NOON, None)
    assert store.add_token(token, row(1))
    assert not store.revoke_token("nothing", row(2)._replace(act="token.revoke"))
    assert store.revoke_token("t1", row(1)._replace(act="token.revoke"))
    assert acts(store) == ["token.revoke t1", "token.create t1"]


def test_clearing_the_quarantine_is_written(store: Store) -> None:
    """In the same transaction."""
    store.commit(CommitBatch(quarantined=[refused(1)]))
    assert store.clear_quarantine(EVERYTHING, 10, row(1)._replace(act="quarantine.clear")) == 1
    assert acts(store) == ["quarantine.clear t1"]


def test_clients_cannot_push_administrators_out(open_store: OpenStore) -> None:
    """Each kind has its own bound, also over a restart."""
    limits = StoreLimits(audit_acts=3)
    store = open_store(limits=limits)
    store.record([row(number) for number in range(5)])
    store.record([row(number, "mqtt", "app") for number in range(5, 50)])
    store.close()
    store = open_store(limits=limits)
    store.record([row(50, "http", "app")])
    assert [act.at - NOON for act in store.audit(100)] == [50, 49, 48, 4, 3, 2]


def test_acts_are_found_by_what_who_and_when(store: Store) -> None:
    """All that is given has to apply; a dot at the end means a kind."""
    store.record([row(1), row(2, who="anna"), row(3)._replace(act="token.revoke")])
    store.record([row(4)._replace(act="tokens"), row(5)._replace(target="x")])
    assert len(acts(store, AuditFilter(act="token."))) == 4
    assert acts(store, AuditFilter(act="token.create", who="anna")) == ["token.create t2"]
    assert acts(store, AuditFilter(target="x")) == ["token.create x"]
    assert acts(store, AuditFilter(since=NOON + 2, until=NOON + 4)) == [
        "token.revoke t3",
        "token.create t2",
    ]
    assert acts(store, AuditFilter(act="100%.")) == []


def test_text_that_is_no_text_is_written_all_the_same(store: Store) -> None:
    """Nobody escapes the trail with half a surrogate pair."""
    store.record([row(1)._replace(who="\ud800", target="\udfff")])
    [found] = store.audit(1)
    assert (found.who, found.target) == ("\\ud800", "\\udfff")
