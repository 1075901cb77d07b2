"""What the document on permissions shows is what happens, and what its commands print."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.config import PermissionsConfig
from bridge.core import permission_rules, permissions
from tests.docs.exchange import connected_reader, differences, parse
from tests.docs.markdown import Document, plain
from tests.support.bridge import make_config, running_bridge
from tests.support.mosquitto import Mosquitto

PERMISSIONS = Document("permissions.md")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The document's permissions, in the working directory."""
    (block,) = PERMISSIONS.blocks("yaml")
    path = tmp_path / "permissions.yaml"
    path.write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


async def test_every_example_is_what_happens(
    file: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """In their order, on one bridge."""
    config = make_config(mosquitto, tmp_path, permissions=PermissionsConfig(file=file))
    wrong = []
    blocks = PERMISSIONS.blocks("exchange")
    assert len(blocks) == 3
    async with running_bridge(config), connected_reader(mosquitto) as reader:
        for block in blocks:
            for step in parse(block):
                seen = await reader.send(step.sent)
                found = [f"  {line}" for line in differences(step, seen)]
                if found:
                    wrong += [f"{block.heading}: > {step.sent.topic} {step.sent.payload}", *found]
    assert not wrong, "\n".join(wrong)


def shown_commands() -> list[tuple[str, str]]:
    """Return each command with what it prints."""
    blocks = [*PERMISSIONS.blocks("sh"), *PERMISSIONS.blocks("text")]
    blocks.sort(key=lambda block: block.line)
    pairs = list(zip(blocks[::2], blocks[1::2], strict=True))
    assert all((pasted.kind, shown.kind) == ("sh", "text") for pasted, shown in pairs)
    return [(pasted.text, shown.text) for pasted, shown in pairs]


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(("line", "shown"), shown_commands())
def test_every_command_prints_what_is_shown(
    line: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the document's permissions."""
    program, *arguments = shlex.split(line)
    assert program == "syncbridge"
    status = main(arguments)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (shown + "\n", "")
    assert status == (4 if " may not " in shown.splitlines()[0] else 0)


def test_the_parts_of_the_file_and_its_bounds_are_those_of_the_code() -> None:
    """Each is in the table, with its bound."""
    rows = {plain(row[0]): row[1] for row in PERMISSIONS.table("part | meaning")}
    assert list(rows) == ["default", "principals", "groups", "rules"]
    assert all(f"`{default}`" in rows["default"] for default in permissions.DEFAULTS)
    assert f"{permissions.PRINCIPALS:,}" in rows["principals"]
    assert f"{permissions.PERMISSION_RULES:,}" in rows["rules"]
    words = [plain(row[0]) for row in PERMISSIONS.table("word | stands for")]
    assert words == [permission_rules.SELF, permission_rules.EVERYONE]
