"""Administration of a store that this process has opened itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.api import AdminClient, offline_client
from bridge.config import Config
from bridge.core.limits import Limits
from bridge.core.orders import Order
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome
from bridge.core.timeline import Point
from bridge.core.topics import TwinKey
from bridge.core.update import Update
from bridge.errors import AdminRefused, Refused, StoreUnavailable
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.audit import AuditRow
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.orders import LAMP, report, update


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with two versions of a lamp."""
    opened = SqliteStore.open(tmp_path / "store.db", limits=StoreLimits())
    for order in (update({"on": True}), update({"on": False})):
        apply_offline(opened, Config(), LAMP, order, now_us)
    yield opened
    opened.close()


@pytest.fixture
def client(store: SqliteStore) -> Iterator[AdminClient]:
    """A client of it."""

    def apply(key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        return apply_offline(store, Config(), key, order, now_us, act)

    with offline_client(store, store.path, apply) as client:
        yield client


def test_the_answers_are_those_of_a_bridge(client: AdminClient, store: SqliteStore) -> None:
    """The same routes, read and written; no socket is made for it."""
    assert client.state(LAMP, Point("version", 1))["desired"] == {"on": True}
    assert client.rollback(LAMP, Point("version", 1), "desired", "anna")["version"] == 3
    rows: Any = client.history(LAMP)["history"]
    assert [(row["version"], row["writer"]) for row in rows] == [
        (3, "anna"),
        (2, "app-1"),
        (1, "app-1"),
    ]
    assert store.load([LAMP])[LAMP].state.endswith(b'"desired":{"on":true}}')
    assert client.store()["twins"] == 1
    assert client.check() == []
    assert not list(store.path.parent.glob("*.sock"))


def test_what_a_rollback_made_is_published_at_the_next_start(
    client: AdminClient, store: SqliteStore
) -> None:
    """It stands among what the broker has not acknowledged."""
    store.mark_published([(LAMP, 2)])
    client.rollback(LAMP, Point("version", 1), "desired", "anna")
    assert [(twin.key, twin.version) for twin in store.unpublished(None, 10)] == [(LAMP, 3)]


def test_problems_are_those_of_a_bridge(client: AdminClient) -> None:
    """With status, detail and hint."""
    with pytest.raises(AdminRefused, match="has no version 9 yet") as caught:
        client.state(LAMP, Point("version", 9))
    assert caught.value.status == 404
    with pytest.raises(AdminRefused, match="there is no twin nobody"):
        client.writers(TwinKey("nobody"))


def test_a_store_that_fails_is_told(store: SqliteStore) -> None:
    """As an answer, and nothing took effect."""

    def apply(_key: TwinKey, _order: Order, _act: AuditRow | None) -> Outcome:
        raise StoreUnavailable("the disk is full", hint="make room")

    with (
        offline_client(store, store.path, apply) as client,
        pytest.raises(AdminRefused, match="the disk is full") as caught,
    ):
        client.rollback(LAMP, Point("version", 1), "desired", "anna")
    assert (caught.value.status, caught.value.hint) == (503, "make room")


def test_a_writer_is_forgotten_without_a_bridge(client: AdminClient, store: SqliteStore) -> None:
    """What is remembered of it is in the store."""
    apply_offline(store, Config(), LAMP, report({"a": 1}, boot="b", seq=1), now_us)
    client.forget_writer(LAMP, "lamp-1")
    assert client.writers(LAMP)["writers"] == []


def test_what_a_policy_keeps_after_a_rollback_is_told(tmp_path: Path) -> None:
    """A running total of others is not taken back by an update of the operator."""
    policies = Policies.parse({"*": {"desired.total": "max"}}, Limits())
    config = Config(policies=policies)
    with closing(SqliteStore.open(tmp_path / "policies.db", limits=StoreLimits())) as store:

        def apply(key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
            return apply_offline(store, config, key, order, now_us, act)

        for patch in ({"total": 3, "on": True}, {"total": 7, "on": False}):
            apply(LAMP, update(patch))
        with offline_client(store, store.path, apply) as client:
            answer = client.rollback(LAMP, Point("version", 1), "desired", "anna")
            assert (answer["version"], answer["changed"]) == (3, True)
            assert answer["patch"] == {"total": 3, "on": True}
            assert answer["remaining"] == {"total": 3}
            assert client.state(LAMP, Point("version", 3))["desired"] == {"total": 7, "on": True}


def test_a_policy_that_refuses_is_told(tmp_path: Path) -> None:
    """With its name and code, and nothing has changed."""
    policies = Policies.parse({"*": {"desired.locked": "refuse"}}, Limits())
    config = Config(policies=policies)
    with closing(SqliteStore.open(tmp_path / "policies.db", limits=StoreLimits())) as store:

        def apply(key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
            if isinstance(order, Update) and order.writer == "anna":
                # Whoever was first: the rollback has not seen it.
                order = order._replace(metadata=order.metadata._replace(seen=1, if_version=None))
            return apply_offline(store, config, key, order, now_us, act)

        apply(LAMP, update({"locked": 1}))
        apply(LAMP, update({"locked": 2}, seen=1))
        with (
            offline_client(store, store.path, apply) as client,
            pytest.raises(Refused, match="refused with 409 conflict: ") as caught,
        ):
            client.rollback(LAMP, Point("version", 1), "desired", "anna")
        assert (caught.value.code, caught.value.error) == (409, "conflict")
        assert store.load([LAMP])[LAMP].version == 2
