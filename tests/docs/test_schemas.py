"""What the document on schemas shows is what happens, and what its command prints."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli import ExitStatus, main
from bridge.config import Config, StoreConfig, load
from bridge.config_schemas import SCHEMAS_IN_A_TABLE
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, Update
from bridge.schema.reading import SCHEMA_BYTES
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.sqlite import SqliteStore
from tests.docs.exchange import connected_reader, differences, parse
from tests.docs.markdown import Document
from tests.support.bridge import make_config, running_bridge
from tests.support.mosquitto import Mosquitto

SCHEMAS = Document("schemas.md")


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The document's configuration and schema, in the working directory."""
    (schema,) = SCHEMAS.blocks("json")
    (table,) = SCHEMAS.blocks("yaml")
    for name, text in (
        ("lamp.json", schema.text),
        ("net.json", "{}"),
        ("bridge.yaml", table.text),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return load({}, {}).config


async def test_every_example_is_what_happens(
    configured: Config, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """In their order, on one bridge."""
    config = make_config(mosquitto, tmp_path, schemas=configured.schemas)
    (block,) = SCHEMAS.blocks("exchange")
    wrong = []
    async with running_bridge(config), connected_reader(mosquitto) as reader:
        for step in parse(block):
            seen = await reader.send(step.sent)
            found = [f"  {line}" for line in differences(step, seen)]
            if found:
                wrong += [f"> {step.sent.topic} {step.sent.payload}", *found]
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("configured")
def test_the_command_prints_what_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three lamps, and a device that is none."""
    config = Config(store=StoreConfig(path=tmp_path / "syncbridge-data" / "store.db"))
    config.store.path.parent.mkdir()
    with closing(SqliteStore.open(config.store.path, limits=config.store.to_limits())) as store:
        for device, brightness in (("lamp-1", 1), ("lamp-2", 2), ("lamp-3", 300), ("meter", 300)):
            patch: JsonObject = {"on": True, "brightness": brightness}
            key = TwinKey(device)
            order = Update(key, "reported", device, patch, Metadata(), json.dumps(patch).encode())
            assert apply_offline(store, config, key, order, now_us).changed
    (pasted,) = SCHEMAS.blocks("sh")
    (shown,) = SCHEMAS.blocks("text")
    status = main(shlex.split(pasted.text)[1:])
    captured = capsys.readouterr()
    assert captured.out + captured.err == shown.text + "\n"
    assert status == ExitStatus.REFUSED


def test_the_bounds_are_those_of_the_code() -> None:
    """Of the table, and of a file."""
    assert f"at most {SCHEMAS_IN_A_TABLE} entries" in SCHEMAS.text
    assert f"at most {SCHEMA_BYTES // 1024**2} MiB" in SCHEMAS.text
