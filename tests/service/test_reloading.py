"""Permissions that change while the bridge runs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.api.acting import Actor
from bridge.core.orders import Deletion
from bridge.core.topics import TwinKey
from bridge.errors import ConfigError
from bridge.service import Bridge, reloading
from bridge.store.audit import AuditRow
from bridge.store.sqlite import SqliteStore
from tests.service.test_permissions import Sender, guarded
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

OPERATOR = Actor("socket", "operator")

OPEN = """\
principals: [anna]
rules:
  anna:
    "*":
      desired.**: read write
      reported.**: read write
"""
CLOSED = "principals: [anna]\n"
NO_SERIAL = OPEN + "  self:\n    '*':\n      reported.serial: deny write\n"
BROKEN = "principals: [anna]\nrules:\n  nobody:\n    '*':\n      desired.on: write\n"


async def acts(bridge: Bridge) -> list[AuditRow]:
    """What the audit trail tells of permissions, the oldest first."""
    rows = await bridge.run_store(lambda store: store.audit(100))
    return [row for row in rows[::-1] if row.act.startswith("permissions.")]


async def test_new_permissions_count_without_a_restart(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """For who may write, for what devices report, and for what is read."""
    config = guarded(mosquitto, tmp_path, OPEN)
    file = tmp_path / "permissions.yaml"
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        sender = Sender(bridge, client)
        assert (await sender.desire("anna", on=True))["ok"]
        assert (await sender.report(serial=1))["ok"]
        file.write_text(NO_SERIAL)
        answer = await bridge.administrator.reload_permissions(OPERATOR)
        assert answer == {
            "default": "deny",
            "principals": 1,
            "groups": 0,
            "rules": 3,
            "file": str(file),
            "changed": True,
        }
        assert (await sender.report(serial=2))["error"] == "forbidden"
        assert (await sender.desire("anna", on=False))["ok"]
        file.write_text(CLOSED)
        await bridge.administrator.reload_permissions(OPERATOR)
        assert (await sender.desire("anna", on=True))["error"] == "forbidden"
        got = await sender.ask("lamp-1/get/anna", "lamp-1/reply/anna")
        assert got["$"]["error"] == "forbidden"
        assert (await sender.report(serial=3))["ok"]


async def test_a_broken_file_changes_nothing(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said in the log, to who asked, and in the audit trail; nor does a missing one."""
    config = guarded(mosquitto, tmp_path, OPEN)
    file = tmp_path / "permissions.yaml"
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        sender = Sender(bridge, client)
        for text in (BROKEN, "rules: [", None):
            file.unlink() if text is None else file.write_text(text)
            with pytest.raises(ConfigError):
                await bridge.administrator.reload_permissions(OPERATOR)
            assert "what was in force stays so" in capsys.readouterr().err
            assert (await sender.desire("anna", on=text))["ok"]
        assert [row.outcome for row in await acts(bridge)] == ["done", *["failed"] * 3]


async def test_loading_and_reloading_is_written_down(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With who, and how many rules; a start only where the rules are others than before."""
    config = guarded(mosquitto, tmp_path, OPEN)
    file = tmp_path / "permissions.yaml"
    for _ in range(2):
        async with running_bridge(config) as bridge:
            assert [row.via for row in await acts(bridge)] == ["start"]
    file.write_text(NO_SERIAL)
    async with running_bridge(config) as bridge:
        assert [row.via for row in await acts(bridge)] == ["start", "start"]
        file.write_text(OPEN)
        assert (await bridge.administrator.reload_permissions(OPERATOR))["changed"]
        assert not (await bridge.administrator.reload_permissions(OPERATOR))["changed"]
        *_, again, last = await acts(bridge)
        assert (last.act, last.via, last.who) == ("permissions.reload", "socket", "operator")
        assert last.target == str(file)
        details = orjson.loads(again.details)
        assert details["permissions"]["rules"] == 2
        assert details["sha256"] == orjson.loads(last.details)["sha256"]
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        # That there are none any more is what matters most.
        *_, none = await acts(bridge)
        assert orjson.loads(none.details)["permissions"] == {"default": "everything is allowed"}


async def test_without_permissions_there_is_nothing_to_reload(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Only a start can put the first ones in force; and it is not in the audit trail."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        with pytest.raises(ConfigError, match="there are none to reload"):
            await bridge.administrator.reload_permissions(OPERATOR)
        assert await acts(bridge) == []


async def test_a_deletion_that_waited_is_held_against_what_is_in_force(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Whoever had the right when it was asked for."""
    config = guarded(mosquitto, tmp_path, OPEN)
    key = TwinKey("lamp-1")
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        assert (await Sender(bridge, client).report(on=True))["ok"]
        (tmp_path / "permissions.yaml").write_text(CLOSED)
        await bridge.administrator.reload_permissions(OPERATOR)
        [outcome] = await bridge._pipeline.submit_all([(key, Deletion("anna"))], judged=True)
        assert outcome.refusal is not None
        assert outcome.refusal.error == "forbidden"


async def test_of_two_reloads_the_one_that_has_read_later_counts(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the earlier one has read, and is slow from then on."""
    config = guarded(mosquitto, tmp_path, OPEN)
    file = tmp_path / "permissions.yaml"
    has_read, go_on = threading.Event(), threading.Event()
    read = reloading.read_permissions

    def read_slowly(*arguments: Any) -> Any:
        found = read(*arguments)
        if not has_read.is_set():
            has_read.set()
            go_on.wait(20)
        return found

    async with running_bridge(config) as bridge:
        monkeypatch.setattr(reloading, "read_permissions", read_slowly)
        reload = bridge.administrator.reload_permissions
        first = asyncio.create_task(reload(OPERATOR))
        await asyncio.to_thread(has_read.wait, 20)
        file.write_text(CLOSED)
        second = asyncio.create_task(reload(OPERATOR))
        await asyncio.wait({second}, timeout=0.2)  # so long as it may overtake the first
        go_on.set()
        assert [answer["rules"] for answer in await asyncio.gather(first, second)] == [2, 0]
        assert bridge._guard is not None
        assert len(bridge._guard.permissions.rules) == 0


async def test_what_is_written_down_is_in_force_though_nobody_waits(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked may have hung up in between."""
    config = guarded(mosquitto, tmp_path, OPEN)
    writing, go_on = threading.Event(), threading.Event()
    record = SqliteStore.record

    def record_slowly(self: SqliteStore, rows: Any) -> None:
        record(self, rows)
        writing.set()
        go_on.wait(20)

    async with running_bridge(config) as bridge:
        (tmp_path / "permissions.yaml").write_text(CLOSED)
        monkeypatch.setattr(SqliteStore, "record", record_slowly)
        asking = asyncio.create_task(bridge.administrator.reload_permissions(OPERATOR))
        await asyncio.to_thread(writing.wait, 20)
        asking.cancel()
        await asyncio.wait({asking})
        go_on.set()
        assert [row.act for row in await acts(bridge)][-1] == "permissions.reload"
        await bridge._pipeline.finish()
        assert bridge._guard is not None
        assert len(bridge._guard.permissions.rules) == 0
