"""The program as a whole: statuses, errors, start-up, pipes and Ctrl-C."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import bridge
from bridge.cli import group, main
from bridge.cli.group import COMMANDS
from bridge.cli.status import ExitStatus
from bridge.errors import AdminRefused, Refused, SyncbridgeError
from tests.cli.conftest import Installation, Run
from tests.cli.program import Program, environment

HEAVY = ("amqtt", "uvicorn", "pydantic", "paho", "structlog", "rich", "httpx", "asyncio")
"""What takes longer to import than small commands take to run."""


def test_the_version_is_printed(run: Run) -> None:
    """As a command, as an option, and for programs."""
    assert run("version") == (0, f"syncbridge {bridge.__version__}\n", "")
    assert run("--version") == (0, f"syncbridge {bridge.__version__}\n", "")
    assert json.loads(run("version", "--json").out)["version"] == bridge.__version__


@pytest.mark.parametrize(
    "arguments",
    [["version"], ["--help"], ["version", "--help"], ["history", "--help"], ["rollback", "--help"]],
)
def test_what_is_not_needed_is_not_imported(arguments: list[str]) -> None:
    """Start-up counts on small machines and in shell loops."""
    code = (
        "import sys; from bridge.cli import main; status = main(sys.argv[1:]); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == "[]\n"


def test_the_language_of_queries_is_not_imported_where_nobody_queries(tmp_path: Path) -> None:
    """It is a quarter of what it takes to start a command."""
    code = (
        "import sys; import bridge.cli.request; from bridge.cli import main; "
        "status = main(['config']); print('sqlglot' in sys.modules, status, file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == "False 0\n"


def test_a_module_can_be_run(tmp_path: Path) -> None:
    """`python -m bridge` is the same program, with its status."""
    command = [sys.executable, "-m", "bridge"]
    kept = {"cwd": tmp_path, "env": environment(), "capture_output": True}
    assert subprocess.run([*command, "version"], **kept, check=False).returncode == 0  # type: ignore[call-overload]
    assert subprocess.run([*command, "nonsense"], **kept, check=False).returncode == 2  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["get"],
        ["get", "a", "b", "c"],
        ["version", "--nonsense"],
        ["watch", "--for", "x"],
    ],
)
def test_a_wrong_command_line_is_status_2(run: Run, arguments: list[str]) -> None:
    """With the way to the help on the standard error, and nothing else."""
    status, out, err = run(*arguments)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert "--help" in err


def test_a_wrong_setting_is_status_2(run: Run) -> None:
    """Said in one line with a hint, not in a traceback."""
    status, out, err = run("--broker", "http://x", "config")
    assert (status, out) == (ExitStatus.USAGE, "")
    assert err.startswith("syncbridge: broker.url: ")
    assert err.splitlines()[1].startswith("  hint: ")


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("version")
    def failing() -> None:
        raise error

    monkeypatch.setattr(group.LazyGroup, "get_command", lambda *_: failing)


def test_an_error_is_one_line_and_a_hint(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """On the standard error."""
    _raising(monkeypatch, SyncbridgeError("it broke", hint="mend it"))
    assert run("version") == (1, "", "syncbridge: it broke\n  hint: mend it\n")


@pytest.mark.parametrize("kind", [AdminRefused, Refused])
def test_what_an_answer_quotes_is_safe_to_print(
    monkeypatch: pytest.MonkeyPatch, run: Run, kind: type[AdminRefused | Refused]
) -> None:
    """A refusal may name a key that anybody has sent."""
    evil = "at \x1b[2J\nx"
    error = Refused(409, "conflict", evil) if kind is Refused else AdminRefused(409, evil)
    _raising(monkeypatch, error)
    assert run("version").err.endswith("at \\u001b[2J\\nx\n")


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells count it."""
    _raising(monkeypatch, KeyboardInterrupt())
    assert main(["version"]) == ExitStatus.INTERRUPTED


def test_common_options_stand_before_and_after_the_command(run: Run) -> None:
    """The later one counts."""
    before = json.loads(run("--prefix", "a", "--log-level", "error", "config", "--json").out)
    assert before["settings"]["prefix"] == {"value": "a", "origin": "flag --prefix"}
    assert before["settings"]["log.level"]["value"] == "error"
    both = json.loads(run("--prefix", "a", "config", "--json", "--prefix", "b").out)
    assert both["settings"]["prefix"]["value"] == "b"


def test_the_long_form_of_a_flag_is_understood(run: Run) -> None:
    """It is the name that `syncbridge config` gives as an origin."""
    url = "mqtt://localhost:1884"
    settings = json.loads(run("--broker-url", url, "config", "--json").out)["settings"]
    assert settings["broker.url"] == {"value": url, "origin": "flag --broker-url"}


def test_a_reader_that_has_enough_is_no_failure(
    installation: Installation, call: Run, tmp_path: Path
) -> None:
    """As in `syncbridge watch | head -1`."""
    assert call("set", "main-pipe", "desired.n=0").status == 0
    arguments = ["--broker", installation.url, "watch", "main-pipe"]
    with Program(*arguments, directory=tmp_path) as program:
        program.read_until("desired.n=0")
        program.close_reader()
        for number in range(1, 4):
            assert call("set", "main-pipe", f"desired.n={number}").status == 0
        assert program.wait() == ExitStatus.OK
        assert program.errors() == ""


def test_every_command_can_be_imported() -> None:
    """The table is written by hand."""
    context = click.Context(group.syncbridge)
    for name in COMMANDS:
        found = group.syncbridge.get_command(context, name)
        assert found is not None
        assert found.name == name
