"""The command line, as people and scripts use it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.security.claim import Claim
from bridge.security.mechanism import Kem
from device_sim.cli import ExitStatus, main
from device_sim.faults import FAULTS
from device_sim.kinds import KINDS
from device_sim.scenarios import SCENARIOS
from tests.device_sim.responder import Responder
from tests.device_sim.waiting import PATIENCE_S
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.services import require_program

_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set on the machine does not enter."""
    for name in list(os.environ):
        if name.startswith("SYNCBRIDGE_"):
            monkeypatch.delenv(name)


def _url(broker: Mosquitto) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


def test_a_dry_run_prints_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines in the order of time, the same twice, and others for another seed."""
    arguments = ["run", "--devices", "7", "--rate", "3", "--desired-rate", "2", "--for", "10s"]
    printed = []
    for seed in ("7", "7", "8"):
        assert main([*arguments, "--seed", seed, "--dry-run"]) == ExitStatus.OK
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    lines = [json.loads(line) for line in printed[0].splitlines()]
    assert len(lines) > 150
    assert [line["at_s"] for line in lines] == sorted(line["at_s"] for line in lines)
    assert lines[0]["topic"] == "sync/thermostat-0001/report"
    assert lines[0]["full"] is True
    assert {line["verb"] for line in lines} == {"report", "desire"}


def test_a_dry_run_is_the_same_in_another_process() -> None:
    """Nothing of the process enters, such as the order of its hashes."""
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "device_sim", "run", "--for", "5s", "--dry-run"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            cwd=_ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_run_ends_with_a_summary(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything that was asked for, in plain lines."""
    with Responder(mosquitto.port):
        status = main(
            f"run --devices 5 --rate 9 --for 1s --desired-rate 9 --seed 7 --kinds lamp,door-lock "
            f"--broker {_url(mosquitto)}".split()
        )
    assert status == ExitStatus.OK
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"devices          5 for 1\.\d s, seed 7$", lines[0])
    assert re.match(r"connections      5; open files allow [\d,]+ at a time$", lines[1])
    assert re.match(r"memory           \d+ MiB, -?\d+ KiB for each device$", lines[2])
    assert re.match(r"reports          (\d+) sent, \1 acknowledged$", lines[3])
    assert re.match(r"publish to state p50 [\d.]+ ms, p99 [\d.]+ ms, longest", lines[4])
    assert re.match(r"versions         \d+$", lines[5])
    assert re.match(r"desired          (\d+) changes, \1 converged$", lines[6])
    assert re.match(r"deltas           \d+ received, \d+ obeyed; outstanding p50", lines[7])
    assert lines[8:] == ["twins            5 of 5 are what their devices believe"]


def test_a_summary_for_programs_has_stable_keys(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are documented; a script may rely on them."""
    with Responder(mosquitto.port):
        assert main(["run", "--for", "200ms", "--json", "--broker", _url(mosquitto)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {key: sorted(value) for key, value in document.items() if isinstance(value, dict)} == {
        "reports": [
            "acknowledged",
            "dropped",
            "duplicates",
            "forgotten",
            "refused",
            "repeated",
            "sent",
            "superseded",
            "unanswered",
        ],
        "latency_ms": ["count", "max", "p50", "p99"],
        "convergence_ms": ["count", "max", "p50", "p99"],
        "deltas": ["obeyed", "received"],
        "connections": ["allowed", "made"],
        "errors": [],
        "memory": ["device_kib", "resident_mib"],
        "faults": [],
        "desired": ["acknowledged", "converged", "refused", "sent", "unanswered"],
        "twins": ["compared", "differing", "equal", "excused"],
    }
    assert {key for key, value in document.items() if not isinstance(value, dict)} == {
        "ok",
        "seed",
        "devices",
        "elapsed_s",
        "interrupted",
        "scenario",
        "samples",
        "versions",
        "went_back",
        "differences",
        "differences_total",
        "refusals",
    }


def test_a_twin_that_differs_ends_with_status_1_and_is_named(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """Device, path and both values, for people and for programs."""
    arguments = (
        f"run --devices 2 --rate 0 --for 100ms --converge 2s --kinds door-lock "
        f"--desired-rate 0 --broker {_url(mosquitto)}".split()
    )
    with Responder(mosquitto.port, tamper=lambda _, reported: reported | {"auto_lock": {}}):
        assert main(arguments) == ExitStatus.DIFFERENT
        text = capsys.readouterr().out
        assert main([*arguments, "--json"]) == ExitStatus.DIFFERENT
        document = json.loads(capsys.readouterr().out)
    assert "0 of 2 are what their devices believe" in text
    line = "different        door-lock-0002 reported.auto_lock.after_s: expected 120, "
    assert line + "the twin has nothing" in text
    assert document["differences"][1] == {
        "device": "door-lock-0002",
        "section": "reported",
        "path": "auto_lock.after_s",
        "expected": 120,
    }


def test_what_comes_over_the_network_does_not_move_the_cursor(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters in values are escaped, and markup is text."""
    with Responder(mosquitto.port, tamper=lambda _, __: {"on": "\x1b[2J\x9b[bold]", "\x1b[1m": 1}):
        main(
            f"run --devices 1 --rate 0 --for 100ms --converge 2s --kinds lamp "
            f"--desired-rate 0 --broker {_url(mosquitto)}".split()
        )
    text = capsys.readouterr().out
    assert r"the twin has " + r'"\u001b[2J\u009b[bold]"' in text
    assert r"lamp-0001 reported.\u001b[1m: expected nothing, the twin has 1" in text
    assert "\x1b" not in text


def test_without_a_broker_there_is_one_line_and_a_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 3, and nothing on the standard output."""
    port = free_port()
    assert main(["run", "--broker", f"127.0.0.1:{port}"]) == ExitStatus.UNAVAILABLE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"device-sim: no broker at mqtt://127.0.0.1:{port}: Connection refused",
        "  hint: start one, or name another with --broker mqtt://host:port",
    ]


def test_an_enrolment_without_a_broker_says_so_at_once_and_ends_in_its_time(
    tmp_path: Path,
) -> None:
    """Status 3; what is needed to go on with it is kept."""
    key_file, port = tmp_path / "lamp.key", free_port()
    words = ["enrol", "lamp-1", "--key-file", str(key_file), "--wait", "1500ms"]
    ended = subprocess.run(
        [sys.executable, "-m", "device_sim", *words, "--broker", f"127.0.0.1:{port}"],
        input=Claim.make(Kem.X25519, bytes(32)).text,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (ExitStatus.UNAVAILABLE, "")
    first, *_, last = ended.stderr.splitlines()
    assert re.search(rf"127\.0\.0\.1:{port}.*trying again", first)
    assert re.search(rf"device-sim: .*127\.0\.0\.1:{port}", last)
    assert key_file.with_name("lamp.key.enrolling").exists()


def test_without_a_bridge_there_is_one_line_and_a_hint(
    mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3: a broker alone is not enough."""
    assert main(["run", "--wait", "200ms", "--broker", _url(mosquitto)]) == ExitStatus.UNAVAILABLE
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"device-sim: no bridge answers at {_url(mosquitto)} below sync/"
    assert "syncbridge run" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--devices", "0"], "devices: 0"),
        (["run", "--kinds", "lamp,lam"], "'lam' is not one of thermostat, lamp"),
        (["run", "--for", "soon"], "'soon' is not a duration"),
        (["run", "--broker", "ws://h"], "ws:// is not supported"),
        (["run", "--ca", "ca.pem"], "the broker is not mqtts://"),
        (["run", "--broker", "mqtts://h", "--cert", "a.pem"], "come together"),
        (["run", "--broker", "mqtts://h", "--ca", "no.pem"], "no.pem cannot be read"),
        (["run", "--rate", "-1"], "rate_hz"),
        (["run", "--dry-run"], "give --for"),
        (["run", "--password-file", __file__], "needs --username"),
        (["replay"], "FILE"),
        (["replay", __file__], "--as"),
        (["replay", __file__, "--as", "plug-7"], "is not JSON"),
        (["run", "--rate", "often"], "nor 'kind'"),
        (["run", "--kinds", "no-such.yaml"], "no-such.yaml cannot be read"),
        (["kinds", "--yaml", "toaster"], "'toaster' is not one of"),
        (["scenarios", "--yaml", "flood"], "'flood' is not one of"),
        (["run", "--scenario", "power-cur"], "did you mean power-cut"),
        (["run", "--scenario", "morning", "--for", "1m"], "leave them out"),
        (["run", "--fault", "los=5%"], "did you mean loss"),
        (["run", "--gateways", "101"], "gateways: 101 is not from 0"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_explained(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, before anything is tried."""
    assert main(arguments) == ExitStatus.USAGE
    assert says in capsys.readouterr().err


def test_the_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With their fields, for people and for programs."""
    assert main(["kinds"]) == ExitStatus.OK
    text = capsys.readouterr().out
    assert all(f"{name} " in text for name in KINDS)
    assert "obeys: on, brightness_pct" in text
    assert main(["kinds", "--json"]) == ExitStatus.OK
    documents = json.loads(capsys.readouterr().out)
    assert [document["kind"] for document in documents] == list(KINDS)
    assert {"path", "unit", "obeys", "example"} == set(documents[0]["fields"][0])


def test_a_printed_declaration_is_a_kind_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `kinds --yaml` prints can be changed and run."""
    assert main(["kinds", "--yaml", "lamp"]) == ExitStatus.OK
    own = tmp_path / "own.yaml"
    own.write_text(capsys.readouterr().out.replace("\nlamp:", "\nstreet-lamp:", 1))
    assert main(["kinds", str(own), "--json"]) == ExitStatus.OK
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)] == ["street-lamp"]
    arguments = f"run --devices 4 --for 1m --kinds {own},tracker --dry-run"
    assert main(arguments.split()) == ExitStatus.OK
    printed = capsys.readouterr().out
    assert {json.loads(line)["device"].split("-0")[0] for line in printed.splitlines()} == {
        "street-lamp",
        "tracker",
    }


def test_everything_that_can_be_named_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each."""
    assert main(["--list"]) == ExitStatus.OK
    lines = capsys.readouterr().out.splitlines()
    named = [*KINDS, *SCENARIOS, *FAULTS]
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in named)


def test_scenarios_and_faults_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With phases and parameters; a printed declaration can be changed."""
    assert main(["scenarios"]) == ExitStatus.OK
    text = capsys.readouterr().out
    assert all(f"{name}: " in text for name in SCENARIOS)
    assert "     15 s  dark  (power off)" in text
    assert main(["faults"]) == ExitStatus.OK
    text = capsys.readouterr().out
    assert all(f"{name} " in text for name in FAULTS)
    assert "of a device at a time: half-open=1%, or every=, at=, for=10s" in text
    assert main(["scenarios", "--yaml", "power-cut"]) == ExitStatus.OK
    story = tmp_path / "story.yaml"
    story.write_text(capsys.readouterr().out.replace("dark", "darker", 2))
    assert main(["scenarios", str(story)]) == ExitStatus.OK
    assert "darker" in capsys.readouterr().out


def test_a_scenario_with_faults_ends_with_a_page(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name and what was injected stand in the summary, and in the file."""
    story, page = tmp_path / "story.yaml", tmp_path / "page.html"
    story.write_text(
        "about: short\nphases:\n  - {name: one, for: 500ms, rate: 5}\n"
        "  - {name: two, for: 500ms, rate: 5, faults: [duplicate=100%]}\n"
    )
    with Responder(mosquitto.port):
        arguments = f"run --scenario {story} --devices 5 --html {page} --broker {_url(mosquitto)}"
        assert main([*arguments.split(), "--fault", "delay=50%,by=10ms"]) == ExitStatus.OK
    text = capsys.readouterr().out
    assert "scenario story" in text
    assert re.search(r"faults           delay \d+, duplicate \d+", text)
    assert "<svg" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command", [[], ["run"], ["check"], ["replay"], ["kinds"], ["scenarios"], ["faults"]]
)
def test_help_shows_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each begins with the program's name, so that it can be copied."""
    assert main([*command, "--help"]) == ExitStatus.OK
    assert "\n    device-sim " in capsys.readouterr().out


def test_ctrl_c_ends_with_the_summary_of_what_was(mosquitto: Mosquitto) -> None:
    """In a pipe the progress is plain lines on the standard error."""
    with Responder(mosquitto.port):
        process = subprocess.Popen(
            f"{sys.executable} -m device_sim run --devices 5 --rate 5 --json "
            f"--broker {_url(mosquitto)}".split(),
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        first_line = process.stderr.readline()
        second_line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ExitStatus.OK
    assert re.match(r"0 s: running: \d of 5 online, \d+ sent, \d+ acknowledged$", first_line)
    assert re.match(r"\d s: running: 5 of 5 online, \d+ sent, \d+ acknowledged$", second_line)
    assert "Traceback" not in err
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["twins"]["equal"] == document["devices"] == 5


def test_a_password_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never from the command line; a wrong one is the broker's refusal."""
    passwords = tmp_path / "passwords"
    program = require_program("mosquitto_passwd")
    subprocess.run([program, "-b", "-c", str(passwords), "fleet", "right"], check=True)
    password_file = tmp_path / "password"
    password_file.touch(mode=0o600)
    password_file.write_text("right\n")
    extra = f"password_file {passwords}"
    arguments = ["run", "--username", "fleet", "--wait", "100ms", "--broker"]
    with Mosquitto(tmp_path / "m", extra=extra) as broker:
        main([*arguments, _url(broker), "--password-file", str(password_file)])
        assert "no bridge answers" in capsys.readouterr().err
        monkeypatch.setenv("SYNCBRIDGE_BROKER_PASSWORD", "right")
        main([*arguments, _url(broker)])
        assert "no bridge answers" in capsys.readouterr().err
        monkeypatch.setenv("SYNCBRIDGE_BROKER_PASSWORD", "wrong")
        assert main([*arguments, _url(broker)]) == ExitStatus.UNAVAILABLE
        assert "Not authorized" in capsys.readouterr().err
