"""Everything in the README is true: its commands are run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge import connected_client, retained
from tests.support.mosquitto import Mosquitto
from tests.support.services import require_program

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
WAIT_S = 60
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def block(language: str, containing: str) -> str:
    """The one block of this language with this text in it."""
    (found,) = [text for name, text in BLOCKS if name == language and containing in text]
    return found


class Shell:
    """Runs the README's lines against a broker on another port than 1883."""

    def __init__(self, broker: Mosquitto, directory: Path) -> None:
        self._broker = broker
        self._directory = directory
        self._environment = {
            **os.environ,
            "SYNCBRIDGE_BROKER_URL": f"mqtt://{broker.host}:{broker.port}",
        }

    def command(self, line: str) -> list[str]:
        """The line's words, with our port and this interpreter's programs."""
        words = shlex.split(line)
        if words[0].startswith("mosquitto_"):
            return [require_program(words[0]), "-p", str(self._broker.port), *words[1:]]
        module = {"syncbridge": "bridge", "device-sim": "device_sim"}[words[0]]
        url = self._environment["SYNCBRIDGE_BROKER_URL"]
        rest = [url if word == "mqtt://localhost:1883" else word for word in words[1:]]
        return [sys.executable, "-m", module, *rest]

    def start(self, line: str, **options: object) -> subprocess.Popen[str]:
        """Start a line in the background."""
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            self.command(line), cwd=self._directory, env=self._environment, text=True, **options
        )

    def run(self, line: str) -> str:
        """Run a line to its end, which must be a good one, and return its output."""
        process = self.start(line, stdout=subprocess.PIPE)
        output, _ = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, line
        return output


@pytest.fixture
def shell(mosquitto: Mosquitto, tmp_path: Path) -> Shell:
    """A terminal in an empty directory."""
    return Shell(mosquitto, tmp_path)


@pytest.fixture
def bridge(shell: Shell, mosquitto: Mosquitto) -> Iterator[subprocess.Popen[str]]:
    """The first terminal; ready when it has subscribed."""
    process = shell.start(block("sh", "syncbridge run"), stderr=subprocess.PIPE)
    assert process.stderr is not None
    started = any("connected to the broker" in line for line in process.stderr)
    yield process
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_S)
    assert started
    assert process.returncode == 0


def test_three_terminals_show_what_the_readme_shows(
    shell: Shell, bridge: subprocess.Popen[str]
) -> None:
    """Line by line, but for the times."""
    watching = shell.start(block("sh", "mosquitto_sub"), stdout=subprocess.PIPE)
    assert watching.stdout is not None
    expected = block("text", "sync/lamp-1/state").splitlines()
    seen: list[str] = []
    try:
        # A retained message of our own shows that the subscription stands.
        shell.run("mosquitto_pub -q 1 -r -t sync/probe/state -m ready")
        assert watching.stdout.readline() == "sync/probe/state ready\n"
        for line, shown in zip(block("sh", "mosquitto_pub").splitlines(), (1, 2, 2), strict=True):
            shell.run(line)
            seen += [watching.stdout.readline().rstrip() for _ in range(shown)]
    finally:
        watching.terminate()
        watching.communicate(timeout=WAIT_S)
    assert [without_times(line) for line in seen] == [without_times(line) for line in expected]
    for line in block("sh", "syncbridge get").splitlines():
        assert shell.run(line)


def without_times(line: str) -> str:
    """The same with every time in µs replaced."""
    return re.sub(r'"at":\d{16}', '"at":…', line)


async def test_ten_lines_of_python_are_a_lamp(
    shell: Shell, bridge: subprocess.Popen[str], mosquitto: Mosquitto
) -> None:
    """It reports, obeys, and has reported what it obeyed."""
    program = block("python", "Device(").replace(
        'host="localhost"', f"host={mosquitto.host!r}, port={mosquitto.port}"
    )
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    lamp = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert lamp.stdout is not None
    try:
        # The prompt comes after the report has been answered.
        assert lamp.stdout.read(4) == "Try:"
        shell.run("syncbridge set lamp-2 desired.on=false")
        async with connected_client(mosquitto, "sync/lamp-2/state") as client:
            await client.until_version("sync/lamp-2/state", 3)
        states = await retained(mosquitto, "sync/lamp-2/#")
    finally:
        lamp.communicate("\n", timeout=WAIT_S)
    assert lamp.returncode == 0
    assert b'"reported":{"on":false,"color":{"r":255}}' in states["sync/lamp-2/state"]
    assert "sync/lamp-2/delta" not in states


def test_a_simulated_fleet_ends_as_its_devices_believe(
    shell: Shell, bridge: subprocess.Popen[str]
) -> None:
    """The README's line, for a shorter time."""
    line = block("sh", "device-sim").strip()
    shorter = line.replace("--devices 100", "--devices 10").replace("30s", "2s")
    assert shorter != line
    shell.run(shorter)


def test_every_file_that_is_linked_exists() -> None:
    """Documents and the licence."""
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
