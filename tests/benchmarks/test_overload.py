"""The overload in its short form: it holds, and it can fail."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fairness, overload
from benchmarks.overload import SLOT_S, Course, Plan, recovery_s
from benchmarks.report import Report
from benchmarks.updates import FIELDS, Stream
from benchmarks.vitals import Vitals
from benchmarks.witnesses import Answer, Witnesses, missing
from tests.support.services import require_program

SHORT = ("--seconds", "1", "--devices", "200", "--witnesses", "20", "--burst", "4000")


@pytest.fixture(autouse=True)
def _services() -> None:
    require_program("mosquitto")


def run(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the overload; returns its status and what it saved."""
    file = tmp_path / "overload.json"
    status = overload.main([*SHORT, "--json", str(file), *arguments])
    saved: dict[str, Any] = json.loads(file.read_text())
    return status, saved


def losses(saved: dict[str, Any]) -> list[str]:
    """Return what is wrong beside times, which are the machine's."""
    return [fault for fault in saved["violations"] if "after the load" not in fault]


def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    """With a queue that the flood fills, so that the broker drops most of it."""
    _, saved = run(tmp_path, "--queue", "3000", "--factor", "5")
    assert losses(saved) == []
    assert saved["dropped by the broker"] > 0
    assert saved["answered"] > 0
    assert saved["twins compared"] == 220
    taken = saved["taken by the bridge"]
    assert taken == saved["published"] - saved["dropped by the broker"]


def test_a_loss_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer for what was never sent, and one message that was not counted as dropped."""
    stopping = Witnesses.stop

    def plant(self: Witnesses) -> None:
        stream = self.streams[0]
        stream.acknowledged.add(stream.make_update())
        self.sent += 1
        stopping(self)

    monkeypatch.setattr(Witnesses, "stop", plant)
    status, saved = run(tmp_path)
    assert status == 1
    faults = "\n".join(losses(saved))
    assert "witness-000 reported: update" in faults
    assert "was answered and is lost" in faults
    assert "1 messages that the broker kept did not arrive" in faults


def test_only_what_was_overwritten_may_be_missing() -> None:
    """A field holds its newest update; an answered one that is newer than the field is lost."""
    stream = Stream("", "lamp-1", "reported", "b", sent=FIELDS + 2)
    stream.acknowledged = set(range(1, FIELDS + 3))
    assert missing(stream, dict(stream.expected())) == []
    assert missing(stream, {**stream.expected(), "f2": 2}) == [FIELDS + 2]
    assert missing(stream, {}) == list(range(3, FIELDS + 3))


WATCHED_S = 11.0


def at_rest(slow_until_s: float, silent_from_s: float = WATCHED_S) -> list[Answer]:
    """Return answers after a load that ended at 0: ten in each slot."""
    answers = []
    for number in range(int(10 * WATCHED_S / SLOT_S)):
        at = number * SLOT_S / 10
        if at < silent_from_s:
            answers.append(Answer(at - 1, at - (1.0 if at < slow_until_s else 0.01), at))
    return answers


@pytest.mark.parametrize("slow_until_s", [0.0, 0.5, 3.0, WATCHED_S])
def test_recovery_ends_with_the_last_slow_time(slow_until_s: float) -> None:
    """In steps; that an update was sent again counts from the last time."""
    assert recovery_s(at_rest(slow_until_s), 0.0, 0.1, WATCHED_S) == slow_until_s


def test_silence_is_no_recovery() -> None:
    """Without answers there is nothing that is fast."""
    assert recovery_s(at_rest(0.0, silent_from_s=5.0), 0.0, 0.1, WATCHED_S) == WATCHED_S


@pytest.mark.parametrize(
    ("recovered_s", "in_time", "faults"), [(9.0, "yes", 0), (15.0, "NO", 0), (21.0, "NO", 1)]
)
async def test_recovery_may_take_as_long_as_what_waits(
    recovered_s: float, in_time: str, faults: int
) -> None:
    """10,000 messages, of which 1,000 a second are taken; and 10 s more."""
    answers = [Answer(-1.0, -1.0, -0.99)]
    vitals = [Vitals(0.0, 100, 10, 2, 1.0)]
    course = Course(1000, 3000, 0.0, 4.0, 5000, 20_000, 0.1, recovered_s, answers, vitals, vitals)
    report = Report()
    overload.conclude(Plan(seconds=3), course, 5000, report)
    assert report.figures["within 10 s"] == in_time
    assert len(report.violations) == faults


@pytest.mark.parametrize(
    ("seconds", "resident_mib", "faults"),
    [
        (120, [100, 200, 200, 202], []),
        (120, [100, 200, 200, 230], ["memory grew by 1.15 in the second half of the load"]),
        (3, [100, 200, 200, 230], []),
        (3, [100, 200, 200, 401], ["the bridge took 401 MiB, more than 400"]),
    ],
)
async def test_memory_is_bounded_or_a_violation(
    seconds: int, resident_mib: list[int], faults: list[str]
) -> None:
    """Growth counts in the long form only: a short one is all warm-up."""
    offset_s = time.monotonic() - asyncio.get_running_loop().time()
    vitals = [Vitals(offset_s + at, mib, 10, 2, 1.0) for at, mib in enumerate(resident_mib)]
    course = Course(1, 3, 0.0, 4.0, 1, 1, 0.1, 0.0, [], vitals, vitals)
    report = Report()
    overload.judge_memory(Plan(seconds=seconds), course, report)
    assert report.violations == faults


@pytest.mark.parametrize("limit_per_s", [0, 200])
def test_what_one_device_does_to_the_others_is_measured(
    limit_per_s: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For each rate, with nothing first; also where it may not send as it likes."""
    file = tmp_path / "fairness.json"
    short = ["--seconds", "1", "--witnesses", "10", "--burst", "3000", "--json", str(file)]
    short += ["--limit-per-s", str(limit_per_s)]
    assert fairness.main(short) == 0
    parts = json.loads(file.read_text())["parts"]
    assert len(parts) == 5
    assert parts[0]["sent_per_s"] == 0
    assert all(part["sent_per_s"] > 0 for part in parts[1:])
    assert all((part["refused"] > 0) == (limit_per_s > 0) for part in parts[1:])
    assert all(0 < part["p50_ms"] <= part["p99_ms"] <= part["most_ms"] for part in parts)
    assert "| nothing |" in capsys.readouterr().out
