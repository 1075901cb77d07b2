"""What the document on the simulator says is so, and its commands work as pasted."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from device_sim.cli import ExitStatus, main
from device_sim.faults import FAULTS
from device_sim.faults.fault import WHEN
from device_sim.kinds import KINDS, read_kinds
from device_sim.kinds.reading import DRIFTS, SETTINGS
from device_sim.scenarios import SCENARIOS, read_scenario
from device_sim.series import Sample
from tests.device_sim.test_report import GOOD
from tests.docs.markdown import ROOT, Document, plain
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto

SIMULATOR = Document("simulator.md")
FILES = {
    block.kind.split()[1]: block.text
    for kind in ("yaml my.yaml", "yaml story.yaml")
    for block in SIMULATOR.blocks(kind)
}
COMMANDS = [line for block in SIMULATOR.blocks("sh") for line in block.text.splitlines()]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the document shows, in the directory in which the commands run."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    (tmp_path / "syncbridge-data").mkdir()
    (tmp_path / "syncbridge-data" / "store.db").touch()
    for name in ("morning.json", "noon.json"):
        (tmp_path / name).write_text('{"on": true}')
    authority = Authority(tmp_path, "ca")
    authority.issue("fleet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Lists are printed, runs are planned, and what connects finds no broker."""
    program, *arguments = shlex.split(line)
    assert program == "device-sim"
    if arguments[0] in ("replay", "check"):
        scheme = "mqtts" if "mqtts" in line else "mqtt"
        broker = ("--broker", f"{scheme}://127.0.0.1:1")
        assert main([*arguments, *broker]) == ExitStatus.UNAVAILABLE
        return
    if arguments[0] == "run":
        few = ["--devices", "10", "--dry-run"]
        if "--gateways" in arguments:
            few[1] = "50"
        arguments += few
    assert main(arguments) == ExitStatus.OK
    assert capsys.readouterr().out


def test_the_first_run_and_the_story_end_well(mosquitto: Mosquitto, files: Path) -> None:
    """The document's first command, its scenario and its kinds, shorter, on a bridge's process."""
    story = re.sub(r"for: \d+s", "for: 1s", FILES["story.yaml"])
    (files / "story.yaml").write_text(story.replace("restarts: 5s", "restarts: 1s"))
    (files / "my.yaml").write_text(FILES["my.yaml"].replace("restarts: 15s", "restarts: 1s"))
    address = f"mqtt://127.0.0.1:{mosquitto.port}"
    lines = [
        COMMANDS[0].replace("100", "20").replace("30s", "1s"),
        next(line for line in COMMANDS if "story.yaml --seed" in line) + " --devices 20",
        next(line for line in COMMANDS if "my.yaml,lamp" in line).replace("1m", "1s"),
    ]
    bridge = [sys.executable, "-m", "bridge", "run", "--broker", address]
    with subprocess.Popen(
        [*bridge, "--store", str(files / "store.db")], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for line in lines:
                patient = ["--broker", address, "--wait", "60s", "--converge", "60s"]
                assert main([*shlex.split(line)[1:], *patient]) == ExitStatus.OK
        finally:
            process.kill()


def test_the_files_are_what_the_text_says() -> None:
    """Kinds with everything that can be declared, and a scenario."""
    (kind,) = read_kinds(Path("my.yaml")).values()
    assert kind.restarts
    assert kind.sleep_after_s == 2.0
    assert read_scenario(Path("story.yaml")).duration_s == 90.0


def test_every_fault_stands_in_the_table() -> None:
    """With what it acts on, what it takes, and in the program's own words."""
    rows = SIMULATOR.table("fault | acts on | takes | what happens")
    assert [tuple(map(plain, (row[0], *row[1:3]))) for row in rows] == [
        (fault.name, fault.acts.value, ", ".join(fault.takes)) for fault in FAULTS.values()
    ]
    assert [row[3] for row in rows] == [fault.about for fault in FAULTS.values()]


def names(header: str) -> list[str]:
    """Return what stands in backquotes in the first column of a table."""
    return [name for row in SIMULATOR.table(header) for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_way_to_declare_something_stands_in_its_table() -> None:
    """Drifts, settings and parameters of faults, kinds and scenarios."""
    assert set(names("drift | the field")) == set(DRIFTS)
    assert set(names("`obeys` | takes")) == {"switch", *SETTINGS}
    when = {name.partition("=")[0] for name in names("parameter | meaning")} - {"NAME"}
    assert when == set(WHEN)
    for name in (*KINDS, *SCENARIOS):
        assert f"`{name}`" in SIMULATOR.text


@pytest.mark.parametrize(
    ("header", "functions", "file"),
    [
        ("member of a kind | meaning", ("_kind",), "kinds/reading.py"),
        ("member of a scenario | meaning", ("scenario_in",), "scenarios/reading.py"),
        ("member of a phase | meaning", ("_phase",), "scenarios/reading.py"),
    ],
)
def test_every_member_stands_in_its_table(
    header: str, functions: tuple[str, ...], file: str
) -> None:
    """Those that the code takes, and no others."""
    tree = ast.parse((ROOT / "device_sim" / file).read_text(encoding="utf-8"))
    found = {
        node.value
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in functions
        for call in ast.walk(function)
        for node in (*_keys(call),)
    }
    assert set(names(header)) == found


def _keys(node: ast.AST) -> list[ast.Constant]:
    """Return the names that are taken from a mapping: arguments of `take`, and of a loop."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "").startswith("take"):
        return [each for each in node.args if isinstance(each, ast.Constant)]
    if isinstance(node, ast.comprehension):
        return [
            each
            for each in ast.walk(node.iter)
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
    return []


def test_every_key_of_the_summary_stands_in_its_table() -> None:
    """With what it holds."""
    rows = SIMULATOR.table("key of `--json` | what it holds")
    document = GOOD.to_json()
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row[0])} == set(document)
    told = {re.findall(r"`(\w+)`", row[0])[0]: re.findall(r"`(\w+)`", row[1]) for row in rows}
    for key in ("connections", "memory", "reports", "latency_ms", "desired", "deltas", "twins"):
        held = document[key]
        assert isinstance(held, dict)
        assert set(told[key]) == set(held)
    sample = Sample(0.0, 0, 0, 0, 0, 0, None, {}).to_json()
    assert set(told["samples"]) == set(sample)
    assert json.dumps(document)


def test_every_exit_status_is_told() -> None:
    """By its number."""
    rows = SIMULATOR.table("exit status | when")
    assert [int(row[0]) for row in rows] == [status.value for status in ExitStatus]


def test_the_example_of_the_library_runs(mosquitto: Mosquitto, files: Path) -> None:
    """On another port, with fewer devices and shorter phases."""
    (block,) = SIMULATOR.blocks("python")
    program = block.text.replace("port=1883", f"port={mosquitto.port}")
    program = program.replace("devices=50", "devices=8").replace(
        'SCENARIOS["power-cut"]', "short(SCENARIOS['power-cut'])"
    )
    helper = (
        "from dataclasses import replace\n"
        "def short(story):\n"
        "    phases = tuple(replace(phase, duration_s=0.5) for phase in story.phases)\n"
        "    return replace(story, phases=phases)\n"
    )
    address = f"mqtt://127.0.0.1:{mosquitto.port}"
    bridge = [sys.executable, "-m", "bridge", "run", "--broker", address]
    with subprocess.Popen(
        [*bridge, "--store", str(files / "store.db")], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        try:
            done = subprocess.run(
                [sys.executable, "-c", helper + program],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=100,
                check=True,
            )
        finally:
            process.kill()
    assert done.stdout.startswith("True"), done.stdout
