"""`syncbridge demo`: the embedded broker, the bridge and simulated devices."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rich.console import Console

from bridge.cli.demo_view import TableView
from bridge.cli.observed import Change, Observed
from bridge.cli.status import ExitStatus
from bridge.core.topics import TwinKey
from bridge.device.events import Twin
from tests.cli.conftest import Run
from tests.cli.program import Program, without_escapes
from tests.support.mosquitto import Mosquitto, free_port


def _demo(directory: Path, *arguments: str, terminal: bool = False) -> Program:
    call = ["demo", "--port", str(free_port()), "--devices", "5", *arguments]
    return Program(*call, directory=directory, terminal=terminal)


def _versions(store: Path, run: Run) -> dict[str, int]:
    """What is on disk, as `syncbridge store export` has it."""
    ended = run("store", "export", "--store", str(store))
    assert ended.status == ExitStatus.OK, ended.err
    rows = [json.loads(line) for line in ended.out.splitlines()]
    return {row["device"]: row["version"] for row in rows if row["kind"] == "twin"}


def test_in_a_pipe_each_change_is_a_line(tmp_path: Path, run: Run) -> None:
    """And at the end everything is on disk, where it says."""
    with _demo(tmp_path, "--for", "2s") as program:
        text = program.read_to_end()
        assert program.wait() == ExitStatus.OK
    assert "\x1b" not in text
    assert len(set(re.findall(r"^\S+Z (\S+-0001) v\d+ ", text, re.MULTILINE))) == 5
    assert "5 of 5 twins are what their devices believe" in text
    assert "syncbridge-data/demo.db" in text
    seen: dict[str, int] = {}
    for device, version in re.findall(r"Z (\S+) v(\d+) (?!delta)", text):
        seen[device] = int(version)
    kept = _versions(tmp_path / "syncbridge-data" / "demo.db", run)
    assert seen.keys() == kept.keys()
    assert all(kept[device] >= version for device, version in seen.items())


def test_on_a_terminal_there_is_a_table_until_ctrl_c(tmp_path: Path, run: Run) -> None:
    """With lines to try beside it, which work."""
    with _demo(tmp_path, terminal=True) as program:
        program.read_until("running: 5 devices online")
        text = without_escapes(program.text)
        assert "mosquitto_sub -p" in text
        assert "mosquitto_pub -p" in text
        line = re.search(r" set (--broker \S+) lamp-0001 desired.on=true", text)
        assert line is not None
        broker = line[1].split()
        assert run(*broker, "set", "lamp-0001", "desired.on=true").status == ExitStatus.OK
        assert run(*broker, "set", "my-lamp", "reported.on=true").status == ExitStatus.OK
        program.read_until(r"my-lamp[^\n]*yours")
        program.interrupt()
        end = program.read_to_end()
        assert program.wait() == ExitStatus.OK, program.errors()
    assert "5 of 5 twins are what their devices believe" in without_escapes(end)
    assert _versions(tmp_path / "syncbridge-data" / "demo.db", run)["my-lamp"] == 1


def test_a_port_in_use_is_said_with_the_option(
    tmp_path: Path, mosquitto: Mosquitto, run: Run
) -> None:
    """Where a port was asked for; where none was, another is taken."""
    status, _, err = run("demo", "--port", str(mosquitto.port))
    assert status == ExitStatus.FAILURE
    assert "in use" in err
    assert "--port" in err


def test_another_broker_is_refused(run: Run) -> None:
    """Simulated devices and real ones do not mix."""
    status, _, err = run("demo", "--broker", "mqtt://localhost")
    assert status == ExitStatus.USAGE
    assert "device-sim" in err


def test_a_configured_broker_is_left_alone(tmp_path: Path) -> None:
    """A bridge.yaml for the real one may lie in the same directory."""
    (tmp_path / "bridge.yaml").write_text(
        "broker:\n  url: mqtt://broker.invalid\nstore:\n  path: real.db\nprefix: plant/7\n"
    )
    with _demo(tmp_path, "--for", "100ms") as program:
        text = program.read_to_end()
        assert program.wait() == ExitStatus.OK, program.errors()
    assert "plant/7/+/state" in text
    assert not (tmp_path / "real.db").exists()


_STATE = Twin(4, {"on": True}, {"on": False}, True, 1)


def _state(device: str, twin: Twin | None, before: Twin | None = None) -> Change:
    version = twin.version if twin else None
    return Change(Observed(TwinKey(device), "state", twin, None, version, 1), before, None)


def _delta(device: str, delta: dict[str, bool]) -> Change:
    return Change(Observed(TwinKey(device), "delta", None, {**delta}, 4, 1), None, None)


def _drawn(view: TableView, height: int = 40) -> list[str]:
    console = Console(width=100, height=height)
    with console.capture() as captured:
        console.print(view.table())
    return captured.get().splitlines()


def _view(devices: int, height: int = 40) -> TableView:
    kinds = {f"lamp-{number}": "lamp" for number in range(devices)}
    return TableView(Console(width=100, height=height), kinds, ["try this"])


def test_the_table_shows_the_last_change_and_the_delta() -> None:
    """A delta that is done stays in sight, because devices obey within milliseconds."""
    view = _view(1)
    view.take(_state("lamp-0", _STATE))
    view.take(_delta("lamp-0", {"on": False}))
    row = next(line for line in _drawn(view) if "lamp-0" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "lamp-0", "lamp", "yes", "4", "0 s  on=true", "on=false",
    ]  # fmt: skip
    view.take(_delta("lamp-0", {}))
    view.take(_state("lamp-0", None, _STATE))
    row = next(line for line in _drawn(view) if "lamp-0" in line)
    assert "deleted" in row
    view.take(_state("lamp-0", _STATE))
    assert "done: on=false" in "".join(_drawn(view))


def test_the_table_fits_the_terminal_and_shows_yours_first() -> None:
    """The lines to try stay in sight below it."""
    view = _view(50, height=20)
    view.take(_state("mine", _STATE))
    lines = _drawn(view, height=20)
    assert len(lines) <= 20
    first = next(line for line in lines if "lamp" in line or "mine" in line)
    assert "mine" in first
    assert "more, on a taller terminal" in "".join(lines)
