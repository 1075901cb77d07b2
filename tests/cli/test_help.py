"""What the program teaches: help and manual, held against each other and against the program."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from bridge.cli import main
from bridge.cli.group import COMMANDS, syncbridge
from bridge.cli.options import common_options
from bridge.cli.status import ExitStatus
from tests.cli.program import ROOT

MANUAL = (ROOT / "docs" / "command-line.md").read_text("utf-8")

_PIPE = re.compile(r" [|>] .*")
_INPUT = re.compile(r".* \| (?=syncbridge)")
_SETTING = re.compile(r"^([A-Z_]+=\S+ )+")


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups and their commands too."""
    context = click.Context(syncbridge)
    for name in COMMANDS:
        command = syncbridge.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for below, each in command.commands.items():
                yield f"{name} {below}", each


ALL = dict(_commands())


def _own_options(command: click.Command) -> Iterator[str]:
    common = {opt for each in common_options() for opt in each.opts}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (option for option in parameter.opts if option not in common)


def _section(name: str) -> str:
    """The part of the manual on a command."""
    match = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", MANUAL, re.MULTILINE | re.DOTALL)
    assert match is not None, f"the manual has no section ### `{name}`"
    return match[1]


def _help(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*name.split(), "--help"]) == ExitStatus.OK
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_its_options_are_in_the_manual(name: str) -> None:
    """Each option by its name, in the command's own section."""
    text = _section(name)
    assert [option for option in _own_options(ALL[name]) if f"`{option}" not in text] == []


def test_the_manual_has_no_other_commands() -> None:
    """Nothing is described that is not there."""
    assert re.findall(r"^### `(.*)`", MANUAL, re.MULTILINE) == list(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_manual_has_no_other_options(name: str) -> None:
    """In a command's table."""
    described = re.findall(r"^\| `(--[a-z-]+)", _section(name), re.MULTILINE)
    assert sorted(described) == sorted(_own_options(ALL[name]))


def test_common_options_are_in_the_manual() -> None:
    """Once, for all commands."""
    text = MANUAL.split("## Commands")[0]
    shown = [o for each in common_options() if isinstance(each, click.Option) for o in each.opts]
    assert [option for option in shown if f"`{option}" not in text] == []


def test_every_exit_status_is_in_the_manual() -> None:
    """With its number."""
    for status in ExitStatus:
        assert f"| {status.value} |" in MANUAL


@pytest.mark.parametrize("name", ALL)
def test_help_explains_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Own and common ones, and fits into 80 columns."""
    text = _help(name, capsys)
    for parameter in ALL[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"
            assert parameter.opts[0] in text
    assert [line for line in text.splitlines() if len(line) > 80] == []
    if not isinstance(ALL[name], click.Group) and name != "version":
        assert "--broker" in text


def _examples(text: str) -> Iterator[list[str]]:
    """The calls in a help text, without what is piped in or out."""
    for line in text.replace("\\\n", " ").splitlines():
        call = _PIPE.sub("", _INPUT.sub("", _SETTING.sub("", line.strip())))
        if line.startswith("  ") and call.startswith("syncbridge "):
            yield shlex.split(call)[1:]


@pytest.mark.parametrize("name", ALL)
def test_the_examples_in_the_help_are_true(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each can be parsed: commands and options exist, and values are what they take."""
    text = _help(name, capsys)
    calls = list(_examples(text))
    if " " not in name:
        assert calls, f"{name} has no examples"
    for arguments in calls:
        _parse(syncbridge, arguments)


def test_the_examples_in_the_manual_are_true() -> None:
    """Those in its code blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", MANUAL, re.DOTALL)
    calls = [
        call for block in blocks for call in _examples(re.sub("^", "  ", block, flags=re.MULTILINE))
    ]
    assert len(calls) > len(COMMANDS)
    for arguments in calls:
        _parse(syncbridge, arguments)


def _parse(
    command: click.Command, arguments: list[str], parent: click.Context | None = None
) -> None:
    context = command.make_context(command.name, list(arguments), parent)
    if isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, below, rest = command.resolve_command(context, rest)
        assert name is not None
        assert below is not None
        _parse(below, rest, context)
