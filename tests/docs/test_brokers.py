"""The commands of the document on other brokers print what it says."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bridge.cli import main
from tests.docs.markdown import Document

BROKERS = Document("brokers.md")
FIRST_WORDS = {"mosquitto": "mosquitto_rr ", "emqx": "{deny, all}.", "amqtt": "  amqtt.plugins."}


def commands() -> list[str]:
    """Return every command of the document."""
    return [line for block in BROKERS.blocks("sh") for line in block.text.splitlines()]


def test_each_kind_of_list_has_its_command() -> None:
    """And no other."""
    assert [line.split()[2] for line in commands()] == list(FIRST_WORDS)


@pytest.mark.parametrize("line", commands())
def test_every_command_prints_a_list_for_its_broker(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the permissions of the document on permissions; what it leaves to the bridge too."""
    (block,) = Document("permissions.md").blocks("yaml")
    (tmp_path / "permissions.yaml").write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command, _, _ = line.partition(" > ")
    program, *arguments = shlex.split(command)
    assert program == "syncbridge"
    assert main(arguments) == 0
    out = capsys.readouterr().out
    broker = arguments[1]
    assert any(text.startswith(FIRST_WORDS[broker]) for text in out.splitlines())
    assert " cannot express:" in out
    assert main([*arguments, "--print", "configuration"]) == 0
    if broker != "emqx":
        assert main([*arguments, "--print", "logins"]) == 0
        logins = capsys.readouterr().out
        assert all(f" {name}" in logins for name in ("syncbridge", "anna", "lamp-1", "lamp-2"))
