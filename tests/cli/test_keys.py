"""`syncbridge keys`: in a store that nobody holds, and through the bridge that holds it."""

from __future__ import annotations

import json
import stat
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli.status import ExitStatus
from bridge.security.key_wrapping import KeyWrapper
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.cli.conftest import Result, Run

WRAPPING_KEY = "5a" * 32


class Keys:
    """Calls the command on one store."""

    def __init__(self, store: Path, run: Run) -> None:
        self.store = store
        self._run = run

    def run(self, *words: str, status: int = 0) -> str:
        """Call it and return what it prints to its standard output."""
        result = self.call(*words)
        assert result.status == status, result
        return result.out

    def call(self, *words: str) -> Result:
        """Call it and return how it ended."""
        return self._run("keys", *words, "--store", str(self.store))

    def states(self) -> dict[tuple[str, int], str]:
        """What state each key is in."""
        rows = json.loads(self.run("list", "--json"))["keys"]
        return {(row["device"], row["key_id"]): row["state"] for row in rows}


@pytest.fixture
def keys(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """A store that is free, and empty."""
    monkeypatch.setenv("SYNCBRIDGE_SEALING_WRAPPING_KEY", WRAPPING_KEY)
    path = tmp_path / "store.db"
    SqliteStore.open(path, limits=StoreLimits()).close()
    return Keys(path, run)


def test_a_key_is_made_listed_rotated_and_revoked(keys: Keys) -> None:
    """The key is printed once, as the device library reads it; the lists show no key."""
    made = json.loads(keys.run("create", "lamp-1"))
    assert {**made, "key": len(made["key"])} == {
        "device": "lamp-1",
        "key_id": 1,
        "algorithm": "aes-256-gcm",
        "key": 64,
    }
    again = json.loads(keys.run("rotate", "lamp-1", "--algorithm", "chacha20-poly1305"))
    assert (again["key_id"], again["algorithm"]) == (2, "chacha20-poly1305")
    assert again["key"] != made["key"]
    assert keys.states() == {("lamp-1", 1): "active", ("lamp-1", 2): "next"}
    listed = keys.run("list", "lamp-1") + keys.run("list", "--json")
    assert made["key"] not in listed
    assert again["key"] not in listed
    keys.run("revoke", "lamp-1", "--key", "2")
    assert keys.states() == {("lamp-1", 1): "active", ("lamp-1", 2): "revoked"}
    keys.run("revoke", "lamp-1")
    assert set(keys.states().values()) == {"revoked"}


def test_the_next_key_of_a_group_is_activated(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a group that the configuration names, and where there is a next one; never a device's."""
    file = tmp_path / "groups.yaml"
    file.write_text("sealing:\n  readers: [{devices: lamp-*, group: hall}]\n")
    monkeypatch.setenv("SYNCBRIDGE_CONFIG", str(file))
    for name in ("hall", "lamp-1"):
        keys.run("create", name)
    keys.run("activate", "hall", status=ExitStatus.NOT_FOUND)
    for name in ("hall", "lamp-1"):
        keys.run("rotate", name)
    keys.run("activate", "hall")
    keys.run("activate", "lamp-1", status=ExitStatus.FAILURE)
    keys.run("activate", "the hall", status=2)
    assert keys.states() == {
        ("hall", 1): "retiring",
        ("hall", 2): "active",
        ("lamp-1", 1): "active",
        ("lamp-1", 2): "next",
    }


def test_the_store_holds_the_key_wrapped(keys: Keys) -> None:
    """Its file does not show it; the wrapping key opens it."""
    made = bytes.fromhex(json.loads(keys.run("create", "lamp-1"))["key"])
    assert made not in keys.store.read_bytes()
    with closing(SqliteStore.open(keys.store, limits=StoreLimits())) as store:
        (row,) = store.device_keys.list_all()
    wrapper = KeyWrapper(bytes.fromhex(WRAPPING_KEY))
    assert wrapper.unwrap("lamp-1", 1, row.algorithm, row.wrapped).secret == made


def test_a_key_is_written_into_a_private_file(keys: Keys, tmp_path: Path) -> None:
    """Which must be new; where no key could be made there is no file."""
    file = tmp_path / "lamp-1.key"
    assert keys.run("create", "lamp-1", "--output", str(file)) == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["key_id"] == 1
    keys.run("rotate", "lamp-1", "--output", str(file), status=2)
    missing = tmp_path / "lamp-2.key"
    keys.run("rotate", "lamp-2", "--output", str(missing), status=ExitStatus.NOT_FOUND)
    assert not missing.exists()
    assert list(keys.states()) == [("lamp-1", 1)]


def test_what_cannot_be_done_is_said(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the status."""
    keys.run("create", "lamp/1", status=2)
    keys.run("revoke", "lamp-1", status=ExitStatus.NOT_FOUND)
    keys.run("revoke", "lamp/1", status=2)
    monkeypatch.setenv("SYNCBRIDGE_SEALING_WRAPPING_KEY", "")
    keys.run("create", "lamp-1", status=ExitStatus.FAILURE)
    assert keys.states() == {}


def test_a_device_may_send_in_clear_again(keys: Keys) -> None:
    """Once all its keys are revoked, and not before; said by the status, and in the trail."""
    keys.run("forget", "lamp-1", status=ExitStatus.NOT_FOUND)
    keys.run("create", "lamp-1")
    refused = keys.call("forget", "lamp-1")
    assert refused.status == ExitStatus.FAILURE
    assert "revoke its keys first: syncbridge keys revoke lamp-1" in refused.err
    assert keys.states() == {("lamp-1", 1): "active"}
    keys.run("revoke", "lamp-1")
    assert "sends in clear again" in keys.call("forget", "lamp-1").err
    assert keys.states() == {}
    assert json.loads(keys.run("create", "lamp-1"))["key_id"] == 2
    keys.run("forget", "lamp/1", status=2)
    with closing(SqliteStore.open(keys.store, limits=StoreLimits())) as store:
        acts = [(row.act, row.target) for row in store.audit(10) if row.act == "key.forget"]
    assert acts == [("key.forget", "lamp-1")]
