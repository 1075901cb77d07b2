"""`syncbridge audit`: every act of administration leaves a row, with a bridge and without."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import ExitStatus
from bridge.cli.mqtt import BrokerClient
from tests.cli.conftest import Installation, Run
from tests.cli.test_quarantine import path as _filled_path
from tests.cli.test_quarantine import rows

ME = getpass.getuser()

path = _filled_path


def trail(run: Run, *options: str) -> list[Any]:
    """The whole trail, the oldest first."""
    return rows(run("audit", "--json", "--limit", "1000", *options).out)[::-1]


def told(row: Any) -> tuple[str, str, str]:
    """What was done to what, and how it ended."""
    return row["act"], row["target"], row["outcome"]


def test_acts_are_written_with_who_and_what_came_of_them(run: Run, store_option: str) -> None:
    """Tokens, rollbacks, writers, and what is cleared from the quarantine."""
    token = run("tokens", "create", "anna", "--days", "1", store_option).out
    token_id = token.split("_")[1]
    run("tokens", "revoke", token_id, store_option)
    run("tokens", "revoke", "0123456789ab", store_option)
    run("rollback", "lamp-1", "--to", "5", "--as", "anna", store_option)
    run("rollback", "lamp-1", "--to", "5", "--as", "anna", store_option)
    run("writers", "lamp-1", "--forget", "lamp-1", store_option)
    run("quarantine", "--device", "d1", "--clear", "--dry-run", store_option)
    run("quarantine", "--device", "d1", "--clear", store_option)
    found = trail(run, store_option)
    assert [told(row) for row in found] == [
        ("token.create", token_id, "done"),
        ("token.revoke", token_id, "done"),
        ("twin.rollback", "lamp-1", "done"),
        ("writer.forget", "lamp-1", "done"),
        ("quarantine.clear", "d1", "done"),
    ]
    assert {row["who"] for row in found} == {ME}
    assert len({row["via"] for row in found}) == 1
    assert found[0]["details"]["principal"] == "anna"
    assert found[2]["details"] == {"to": "version 5", "section": "desired", "writer": "anna"}
    assert token.strip() not in json.dumps(found)


def test_the_way_is_told(run: Run, store_option: str, request: pytest.FixtureRequest) -> None:
    """Through the bridge that holds the store, or on the store itself."""
    run("tokens", "create", "anna", store_option)
    held = "held" in request.node.callspec.id
    assert trail(run, store_option)[0]["via"] == ("socket" if held else "offline")


def test_lines_are_for_people(run: Run, store_option: str) -> None:
    """One for each act; filters choose."""
    run("tokens", "create", "anna", store_option)
    run("writers", "lamp-1", "--forget", "lamp-1", store_option)
    status, out, err = run("audit", store_option)
    assert (status, err) == (ExitStatus.OK, "")
    forget, create = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert forget.startswith(f"{ME} (")
    assert ") writer.forget lamp-1 done " in forget
    assert '"principal":"anna"' in create
    assert len(run("audit", "--act", "token.", store_option).out.splitlines()) == 1
    assert len(run("audit", "--on", "lamp-1", "--who", ME, store_option).out.splitlines()) == 1
    nothing = run("audit", "--until", "2020-01-01T00:00:00Z", store_option)
    assert nothing == (0, "", "no such act is in the audit trail\n")


def test_a_restore_and_an_import_are_written_into_the_new_store(
    run: Run, path: Path, tmp_path: Path
) -> None:
    """What the backup's trail held stays in front of it."""
    option = f"--store={path}"
    run("tokens", "create", "anna", option)
    backup, lines = str(tmp_path / "backup"), str(tmp_path / "lines")
    assert run("store", "backup", backup, option).status == 0
    assert run("store", "export", lines, option).status == 0
    assert run("store", "restore", backup, option).status == 0
    found = trail(run, option)
    assert [row["act"] for row in found] == ["token.create", "store.restore"]
    assert found[1]["details"] == {"source": backup}
    other = f"--store={tmp_path / 'other.db'}"
    assert run("store", "import", lines, other).status == 0
    assert [row["act"] for row in trail(run, other)] == ["store.import"]


def test_a_running_bridge_writes_down_deletions_and_sweeps(
    installation: Installation, call: Run, client: BrokerClient
) -> None:
    """Who deleted a twin by a message, and who cleared what is retained, before it is."""
    option = f"--store={installation.store}"
    assert call("set", "gone-1", "desired.on=true").status == 0
    assert call("delete", "gone-1", "--yes", "--as", "carl").status == 0
    [deleted] = trail(call, option, "--on", "gone-1")
    assert (deleted["via"], deleted["who"], deleted["act"]) == ("mqtt", "carl", "twin.delete")
    client.publish("sync/never-1/state", b"{}", retain=True)
    before = trail(call, option, "--act", "retained.clear")
    assert call("sweep", "--dry-run", option).status == 0
    assert trail(call, option, "--act", "retained.clear") == before
    assert call("sweep", option).status == 0
    *others, swept = trail(call, option, "--act", "retained.clear")
    assert others == before
    assert (swept["via"], swept["who"], swept["outcome"]) == ("socket", ME, "done")


def test_keys_of_devices_leave_a_trail_without_the_keys(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made, rotated, activated, revoked; what did nothing is not in it."""
    monkeypatch.setenv("SYNCBRIDGE_SEALING_WRAPPING_KEY", "5a" * 32)
    groups = path.with_name("groups.yaml")
    groups.write_text("sealing:\n  readers: [{devices: other-*, group: lamp-1}]\n")
    monkeypatch.setenv("SYNCBRIDGE_CONFIG", str(groups))
    option = f"--store={path}"
    made = run("keys", "create", "lamp-1", option)
    assert made.status == 0, made.err
    run("keys", "rotate", "lamp-1", option)
    run("keys", "activate", "lamp-1", option)
    run("keys", "activate", "lamp-1", option)
    run("keys", "revoke", "lamp-1", "--key", "2", option)
    run("keys", "revoke", "lamp-1", "--key", "2", option)
    found = trail(run, option)
    assert [told(row) for row in found] == [
        ("key.create", "lamp-1", "done"),
        ("key.rotate", "lamp-1", "done"),
        ("key.activate", "lamp-1", "done"),
        ("key.revoke", "lamp-1", "done"),
    ]
    assert found[0]["details"] == {"key_id": 1, "algorithm": "aes-256-gcm"}
    assert json.loads(made.out)["key"] not in json.dumps(found)
