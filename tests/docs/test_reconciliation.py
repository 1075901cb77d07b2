"""What the document on reconciliation shows is what happens, and its commands work as pasted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge.config import SETTINGS, load
from bridge.core import limits
from bridge.core.policy import POLICIES
from tests.docs.exchange import connected_reader, differences, parse
from tests.docs.markdown import ROOT, Block, Document, plain
from tests.support.bridge import running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.services import require_program

RECONCILIATION = Document("reconciliation.md")
WAIT_S = 60

_POLICY_IN_A_RULE = re.compile(r": (\w+)$", re.MULTILINE)
_CITATION = re.compile(r"\[([A-Z]\d)\]\(#sources\)")
_TIMES = re.compile(r'"at":\d{16}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z')


class Part(NamedTuple):
    """A configuration that the document shows, and the examples that follow it."""

    configuration: Block
    examples: list[Block]


def parts() -> list[Part]:
    """Return the parts of the document, each for a bridge of its own.

    What comes before the first configuration would have no bridge.
    """
    found: list[Part] = []
    blocks = RECONCILIATION.blocks("yaml") + RECONCILIATION.blocks("exchange")
    for block in sorted(blocks, key=lambda block: block.line):
        if block.kind == "yaml":
            found.append(Part(block, []))
        else:
            found[-1].examples.append(block)
    return found


@pytest.mark.parametrize("part", parts(), ids=lambda part: part.configuration.heading)
async def test_every_example_is_what_happens(
    part: Part, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """In their order, on a bridge that reads the configuration above them."""
    file = tmp_path / "bridge.yaml"
    file.write_text(part.configuration.text)
    flags = {
        "broker.url": f"mqtt://{mosquitto.host}:{mosquitto.port}",
        "store.path": str(tmp_path / "store.db"),
    }
    config = load(flags, {}, file).config
    wrong = []
    async with running_bridge(config), connected_reader(mosquitto) as reader:
        for block in part.examples:
            for step in parse(block):
                awaited = [line.topic for line in step.expected if line.topic.endswith("/resync")]
                seen = await reader.send(step.sent, awaited)
                found = [f"  {line}" for line in differences(step, seen)]
                if found:
                    wrong += [f"{block.heading}: > {step.sent.topic} {step.sent.payload}", *found]
    assert not wrong, "\n".join(wrong)


def test_every_configuration_has_examples() -> None:
    """Else it would be shown for nothing."""
    assert [part.configuration.heading for part in parts() if not part.examples] == []


def test_the_examples_use_each_device_in_one_section() -> None:
    """So that a section can be read, and changed, alone."""
    sections: dict[str, set[str]] = {}
    for part in parts():
        for block in part.examples:
            for step in parse(block):
                sections.setdefault(step.sent.topic.split("/")[1], set()).add(block.heading)
    assert {device: found for device, found in sections.items() if len(found) > 1} == {}


def test_every_policy_is_told_and_shown() -> None:
    """In the table, in the one on the order, and, but for the default, in the examples' rules."""
    told = [plain(row[0]) for row in RECONCILIATION.table("policy | keeps")]
    assert told == list(POLICIES)
    ordered = [
        plain(name)
        for row in RECONCILIATION.table("policy | the same in every order")
        for name in row[0].split(", ")
    ]
    assert sorted(ordered) == sorted(POLICIES)
    rules = next(part.configuration.text for part in parts())
    assert {"latest", *_POLICY_IN_A_RULE.findall(rules)} == set(POLICIES)


def test_every_bound_is_what_the_code_keeps_to() -> None:
    """Settings by their default, constants by their value."""
    for what, limit, setting, _ in RECONCILIATION.table("what | limit | set by | beyond it"):
        name = plain(setting)
        number = re.match(r"\d+", limit)
        assert number, what
        value = SETTINGS[name].default if "." in name else getattr(limits, name)
        assert number[0] == str(value), what


def test_every_situation_has_a_runnable_example() -> None:
    """The first column's links lead to sections with an exchange in them."""
    headings = {block.heading for part in parts() for block in part.examples}
    rows = RECONCILIATION.table("situation | here")
    assert len(rows) == 6
    assert {re.findall(r"\[(.*?)\]", row[0])[0] for row in rows} <= headings


def test_every_statement_on_another_system_names_its_source() -> None:
    """Each cell cites, each citation leads to a page, and each page is cited."""
    sources = {row[0]: row[1] for row in RECONCILIATION.table("source | page | sections")}
    cited = set()
    for row in RECONCILIATION.table("situation | here"):
        for cell in row[2:]:
            citations = _CITATION.findall(cell)
            assert citations, cell
            cited.update(citations)
    assert cited == sources.keys()
    assert [name for name, page in sources.items() if "](https://" not in page] == []


class Terminals:
    """Three terminals in one directory: the bridge, a subscriber, and a shell to paste into.

    The lines are the document's, but for the port: programs of the names that they use stand first
    on the path and add it.
    """

    def __init__(self, broker: Mosquitto, directory: Path) -> None:
        self._broker = broker
        self._directory = directory
        programs = directory / "bin"
        programs.mkdir()
        for name in ("mosquitto_pub", "mosquitto_sub"):
            self._program(programs / name, f"{require_program(name)} -p {broker.port}")
        self._program(programs / "syncbridge", f"{sys.executable} -m bridge")
        self._environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SYNCBRIDGE_BROKER_URL": f"mqtt://{broker.host}:{broker.port}",
        }

    def _program(self, path: Path, command: str) -> None:
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o700)

    def open(self, line: str) -> subprocess.Popen[str]:
        """Run a line, or a shell, in a terminal of its own."""
        return subprocess.Popen(
            ["sh", "-c", f"exec {line.replace('localhost:1883', self._address)}"],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def _address(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"


def commands() -> tuple[str, str, list[tuple[str, list[str]]]]:
    """Return the lines of the first two terminals, and what is pasted and shown afterwards."""
    blocks = [
        block
        for kind in ("sh", "text")
        for block in RECONCILIATION.blocks(kind)
        if block.heading == "Try it"
    ]
    bridge, watch, *rest = sorted(blocks, key=lambda block: block.line)
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    assert all((pasted.kind, shown.kind) == ("sh", "text") for pasted, shown in pairs)
    return bridge.text, watch.text, [(p.text, s.text.splitlines()) for p, s in pairs]


@pytest.fixture
def terminals(mosquitto: Mosquitto, tmp_path: Path) -> Terminals:
    """In an empty directory."""
    return Terminals(mosquitto, tmp_path)


@pytest.fixture
def bridge(terminals: Terminals) -> Iterator[None]:
    """The first terminal; ready when the bridge has subscribed."""
    process = terminals.open(commands()[0])
    assert process.stderr is not None
    started = any("connected to the broker" in line for line in process.stderr)
    yield
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT_S)
    assert started


@pytest.mark.usefixtures("bridge")
def test_what_is_pasted_shows_what_the_document_shows(terminals: Terminals) -> None:
    """Block by block, but for the times."""
    _, watch, steps = commands()
    watching, shell = terminals.open(watch), terminals.open("sh")
    assert watching.stdout is not None
    assert shell.stdin is not None
    assert shell.stdout is not None
    try:
        # A retained message of our own shows that the subscription stands.
        _paste(shell, "mosquitto_pub -q 1 -r -t sync/heater-1/state -m ready")
        assert watching.stdout.readline() == "sync/heater-1/state ready\n"
        for pasted, shown in steps:
            seen = []
            for line in pasted.splitlines():
                seen += _paste(shell, line)
                # One after the other: of what comes in one batch only the last is published.
                if line.startswith("mosquitto_pub"):
                    seen.append(watching.stdout.readline().rstrip())
            assert [_without_times(line) for line in seen] == [
                _without_times(line) for line in shown
            ]
    finally:
        for process in (watching, shell):
            process.terminate()
            process.communicate(timeout=WAIT_S)


def _paste(shell: subprocess.Popen[str], line: str) -> list[str]:
    """Give a line to the shell, and return what it prints."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{line}\necho status $?\n")
    shell.stdin.flush()
    printed = []
    for text in shell.stdout:
        if text.startswith("status "):
            assert text == "status 0\n", line
            break
        printed.append(text.rstrip())
    return printed


def _without_times(line: str) -> str:
    return _TIMES.sub("…", line)
