"""Changing the wrapping key: everything in a store, once, and all or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.config_sealing import SealingConfig
from bridge.errors import ConfigError, KeyWrappingError
from bridge.security.key_wrapping import KeyWrapper
from bridge.service import Bridge
from bridge.service.rewrapping import rewrap_keys
from bridge.store.base import StoreLimits
from bridge.store.claims import StoredIdentity
from bridge.store.sqlite import SqliteStore
from tests.store.processes import Child
from tests.support.bridge import running_bridge
from tests.support.enrolled import keys_of
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import WRAPPING_KEY, give_key, give_keys, sealing_config

NEW_KEY = bytes(range(100, 132))
OLD, NEW = KeyWrapper(WRAPPING_KEY), KeyWrapper(NEW_KEY)
PUBLIC_KEY, PRIVATE_KEY = b"p" * 32, b"s" * 32
CHANGING = SealingConfig(
    wrapping_key=SecretStr(NEW_KEY.hex()), old_wrapping_key=SecretStr(WRAPPING_KEY.hex())
)
CAN_BE_REMOVED = "nothing in the store needs the old wrapping key: its setting can be removed"

REWRAP = """
import os, signal, sys
from pathlib import Path
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from bridge.service.rewrapping import rewrap_keys
from tests.service.test_rewrapping import CHANGING
store = SqliteStore.open(Path(sys.argv[1]), limits=StoreLimits())
left = int(sys.argv[3])
def before(statement):
    global left
    if statement.startswith(sys.argv[2]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
store._connection.set_trace_callback(before)
rewrap_keys(CHANGING, store)
print("done", flush=True)
"""
"""Rewraps a store, and is killed before its n-th statement that begins so."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    """The store, for a while."""
    with contextlib.closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        yield store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with keys in every state, and an identity, all wrapped with the old key."""
    path = tmp_path / "store.db"
    with opened(path) as store:
        for device in ("lamp-1", "lamp-1", "lamp-2", "lamp-3"):
            give_key(store, device)
        store.device_keys.revoke("lamp-3", None, 1)
        wrapped = OLD.wrap_identity(PRIVATE_KEY, PUBLIC_KEY)
        store.claims.keep_identity(StoredIdentity(PUBLIC_KEY, wrapped, 1))
    return path


def secrets(store: SqliteStore, wrapper: KeyWrapper) -> list[bytes]:
    """Everything that the store holds wrapped, as this wrapper opens it."""
    identity = store.claims.identity()
    assert identity is not None
    keys = [row for row in store.device_keys.list_all() if row.state != "revoked"]
    assert [row.device for row in keys] == ["lamp-1", "lamp-1", "lamp-2"]
    return [
        wrapper.unwrap_identity(identity.wrapped, PUBLIC_KEY),
        *(wrapper.unwrap(r.device, r.key_id, r.algorithm, r.wrapped).secret for r in keys),
    ]


def acts(store: SqliteStore) -> list[tuple[str, str, str]]:
    """What the audit trail says."""
    return [(row.via, row.act, row.details) for row in store.audit(10)]


def test_what_the_old_key_opens_is_wrapped_anew(path: Path) -> None:
    """The keys stay what they were, the trail says how many; what was revoked has none."""
    with opened(path) as store:
        before = secrets(store, OLD)
        with capture_logs() as lines:
            rewrap_keys(CHANGING, store)
        assert secrets(store, NEW) == before
        assert acts(store) == [("start", "key.rewrap", '{"keys":3,"identity":true}')]
    assert [line["event"] for line in lines] == [
        "keys are wrapped with the new wrapping key",
        CAN_BE_REMOVED,
    ]
    with opened(path) as store:
        with pytest.raises(KeyWrappingError):
            secrets(store, OLD)
        assert secrets(store, NEW) == before


def test_with_nothing_left_only_the_setting_is_spoken_of(path: Path) -> None:
    """A second start changes nothing; one without the setting looks at nothing."""
    with opened(path) as store:
        rewrap_keys(CHANGING, store)
        kept = store.device_keys.list_all()
        with capture_logs() as lines:
            rewrap_keys(CHANGING, store)
            rewrap_keys(CHANGING.model_copy(update={"old_wrapping_key": None}), store)
        assert [line["event"] for line in lines] == [CAN_BE_REMOVED]
        assert store.device_keys.list_all() == kept
        assert len(acts(store)) == 1


def test_keys_that_were_made_meanwhile_stay(path: Path) -> None:
    """A command on the store may have wrapped one with the new key already."""
    with opened(path) as store:
        (row,) = store.device_keys.of_device("lamp-2")
        again = NEW.wrap(OLD.unwrap(row.device, row.key_id, row.algorithm, row.wrapped))
        store._connection.execute(
            "UPDATE device_key SET wrapped = ? WHERE device = 'lamp-2'", (again,)
        )
        rewrap_keys(CHANGING, store)
        assert store.device_keys.of_device("lamp-2")[0].wrapped == again
        assert acts(store)[0][2] == '{"keys":2,"identity":true}'


def test_what_opens_with_neither_key_is_named_and_nothing_is_changed(path: Path) -> None:
    """Which device's it is, and how it is given up."""
    with opened(path) as store:
        foreign = KeyWrapper(bytes(32))
        store._connection.execute(
            "UPDATE device_key SET wrapped = ? WHERE device = 'lamp-2'",
            (foreign.wrap(OLD.unwrap("lamp-2", 1, 1, row_of(store, "lamp-2"))),),
        )
        kept = store.device_keys.list_all()
        with pytest.raises(KeyWrappingError, match="key 1 of lamp-2") as failed:
            rewrap_keys(CHANGING, store)
        assert "syncbridge keys revoke" in failed.value.hint
        assert store.device_keys.list_all() == kept
        assert acts(store) == []
        with pytest.raises(ConfigError, match="no new one"):
            rewrap_keys(CHANGING.model_copy(update={"wrapping_key": None}), store)


def row_of(store: SqliteStore, device: str) -> bytes:
    """What is wrapped of a device's newest key."""
    return store.device_keys.of_device(device)[0].wrapped


@pytest.mark.parametrize(
    ("statement", "number"),
    [("UPDATE device_key", 2), ("UPDATE identity", 1), ("INSERT INTO audit", 1), ("COMMIT", 1)],
)
def test_a_kill_at_any_moment_changes_all_or_nothing(
    path: Path, statement: str, number: int
) -> None:
    """And the next start does all of it."""
    with Child(REWRAP, path, statement, str(number)) as child:
        assert child.rest() == []
    with opened(path) as store:
        before = secrets(store, OLD)
        assert acts(store) == []
    with Child(REWRAP, path, "nothing", "1") as child:
        assert child.rest() == ["done"]
    with opened(path) as store:
        assert secrets(store, NEW) == before
        assert len(acts(store)) == 1


async def test_a_bridge_starts_with_a_new_wrapping_key(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """And then without the old one; its identity is the same."""
    config = sealing_config(mosquitto, tmp_path)
    give_keys(config.store, "lamp-1")
    async with running_bridge(config) as bridge:
        before = await bridge.run_store(lambda store: store.claims.identity())
    changing = config.model_copy(update={"sealing": CHANGING})
    async with running_bridge(changing):
        pass
    only_new = CHANGING.model_copy(update={"old_wrapping_key": None})
    async with running_bridge(config.model_copy(update={"sealing": only_new})) as bridge:
        after = await bridge.run_store(lambda store: store.claims.identity())
        assert await keys_of(bridge) == [1]
    assert before is not None
    assert after is not None
    assert before.public_key == after.public_key
    with pytest.raises(KeyWrappingError):
        async with Bridge(config):
            pass
