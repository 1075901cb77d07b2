"""What the document on reliability says is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.torture.broker import CHANGES_LOST_AT_MOST
from benchmarks.torture.launch import PLANTS, POINTS
from benchmarks.torture.main import make_parser
from benchmarks.torture.plan import BROKER_KINDS, LIVES, LONG_STOP_S, EventKind
from device_sim.checker import Invariant, read_ledger
from device_sim.checker.sightings import CONTENTS_MAX
from tests.docs.markdown import ROOT, Document, plain

RELIABILITY = Document("reliability.md")


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("step", POINTS),
        ("event", get_args(EventKind)),
        ("broker", BROKER_KINDS),
        ("bug", PLANTS),
        ("invariant", [invariant.value for invariant in Invariant]),
    ],
)
def test_each_table_names_all_that_there_is(header: str, names: list[str]) -> None:
    """And nothing else."""
    assert sorted(plain(row[0]) for row in RELIABILITY.table(header)) == sorted(names)


def test_numbers_are_those_of_the_code() -> None:
    """Of lives, of pauses, and of what a broker saves."""
    assert f"lives {LIVES} times" in RELIABILITY.text
    assert f"at times for {LONG_STOP_S:g} s" in RELIABILITY.text
    assert f"after every {CHANGES_LOST_AT_MOST} changes" in RELIABILITY.text
    assert f"newest {CONTENTS_MAX:,} states" in RELIABILITY.text


def test_every_command_is_understood() -> None:
    """Those of make with what the Makefile hands on."""
    makefile = (ROOT / "Makefile").read_text()
    lines = [line for block in RELIABILITY.blocks("sh") for line in block.text.splitlines()]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE)
            settings = dict(word.split("=", 1) for word in words[2:])
            assert set(settings) <= {"SEED", "TORTURE_ARGS"}
            words = [*settings.get("TORTURE_ARGS", "").split(), "--seed", settings.get("SEED", "1")]
        else:
            assert words[:3] == ["python", "-m", "benchmarks.torture"]
            words = words[3:]
        assert make_parser().parse_args(words)


def test_the_ledger_that_is_shown_can_be_read(tmp_path: Path) -> None:
    """One update, accepted and acknowledged."""
    (block,) = RELIABILITY.blocks("json")
    file = tmp_path / "ledger.jsonl"
    file.write_text(block.text + "\n")
    (update,) = read_ledger([file], "sync").updates()
    assert update.is_accepted
    assert update.is_acknowledged
