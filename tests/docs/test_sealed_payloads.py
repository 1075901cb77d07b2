"""What the document on sealed payloads shows, done as it stands there."""

from __future__ import annotations

import asyncio
import stat
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.cli import main
from bridge.config import Config, load
from bridge.core.topics import TwinKey
from bridge.security.frame import ALGORITHM_NAMES, Algorithm
from bridge.service.sealed_memory import WINDOW_MESSAGES
from bridge.store.device_keys import KeyState
from bridge.store.sealed_windows import BOOTS_PER_KEY
from tests.docs.markdown import Document, plain
from tests.support.bridge import retained, running_bridge
from tests.support.mosquitto import Mosquitto

SEALED = Document("sealed-payloads.md")


def pasted(kind: str, heading: str) -> list[str]:
    """The blocks of a kind below a heading."""
    return [block.text for block in SEALED.blocks(kind) if block.heading == heading]


async def test_a_device_is_given_a_key_and_the_wrapping_key_is_changed(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands, the settings and the program, pasted in their order."""
    monkeypatch.chdir(tmp_path)
    giving, groups, changing = (
        "Giving a device a key",
        "Groups of readers",
        "Changing the wrapping key",
    )
    wrapping, keys = pasted("sh", giving)
    await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", wrapping], check=True)
    assert stat.S_IMODE((tmp_path / "wrapping.key").stat().st_mode) == 0o600
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"

    def settings_of(heading: str) -> Config:
        (settings,) = pasted("yaml", heading)
        (tmp_path / "bridge.yaml").write_text(settings)
        return load({"broker.url": url}, {}, tmp_path / "bridge.yaml").config

    async def call(commands: str) -> None:
        for line in commands.splitlines():
            assert await asyncio.to_thread(main, line.split()[1:]) == 0

    async def execute(heading: str) -> dict[str, Any]:
        (source,) = pasted("python", heading)
        at_home = f'host="{mosquitto.host}", port={mosquitto.port}'
        names: dict[str, Any] = {}
        changed = source.replace('host="broker.example.com"', at_home)
        assert source != changed
        await asyncio.to_thread(exec, changed, names)
        return names

    async with running_bridge(settings_of(giving)) as bridge:
        await call(keys)
        await execute(giving)
        key = TwinKey("lamp-1")
        twin = (await bridge.run_store(lambda store: store.load([key])))[key]
        assert orjson.loads(twin.state)["reported"] == {"on": True}
        carried = (await retained(mosquitto, "sync/lamp-1/state"))["sync/lamp-1/state"]
        assert b"reported" not in carried
    of_group, activation = pasted("sh", groups)
    async with running_bridge(settings_of(groups)):
        await call(of_group)
        assert (await execute(groups))["twin"].reported == {"on": True}
        await call(activation)
    (commands,) = pasted("sh", changing)
    await asyncio.to_thread(subprocess.run, ["/bin/sh", "-c", commands], check=True)
    async with running_bridge(settings_of(changing)) as bridge:
        (act,) = await bridge.run_store(lambda store: store.audit(1))
        assert act.act == "key.rewrap"


def test_every_state_of_a_key_is_documented() -> None:
    """In the order in which a key goes through them."""
    states = [plain(row[0]) for row in SEALED.table("state | opens what comes")]
    assert states == ["next", "active", "retiring", "revoked"] == list(KeyState.__args__)  # type: ignore[attr-defined]


def test_every_algorithm_is_documented() -> None:
    """By the number that a frame has, and by the name that a key file may have."""
    numbers = [int(row[0]) for row in SEALED.table("number | algorithm")]
    assert numbers == [int(algorithm) for algorithm in Algorithm] == list(ALGORITHM_NAMES)
    assert ALGORITHM_NAMES[Algorithm.AES_256_GCM] in SEALED.text


def test_the_bounds_are_those_of_the_program() -> None:
    """A number and those before it that are told apart; boots of one key."""
    assert f"a window of {WINDOW_MESSAGES + 1} numbers" in SEALED.text
    assert f"{BOOTS_PER_KEY:,} boots" in SEALED.text
