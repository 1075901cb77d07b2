"""The soak in its short form: it holds, and it can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import soak
from benchmarks.report import Report
from benchmarks.soak import JUDGED_S, Plan, judge
from benchmarks.vitals import Vitals
from tests.support.services import require_program


def test_nothing_is_lost_and_a_line_is_printed_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything that was sent is taken, and each device's last update is there in the end."""
    require_program("mosquitto")
    file = tmp_path / "soak.json"
    arguments = ["--minutes", "0.1", "--percent", "30", "--devices", "100", "--burst", "3000"]
    arguments += ["--filling-s", "1"]
    soak.main([*arguments, "--line-s", "2", "--json", str(file)])
    saved = json.loads(file.read_text())
    # Whether descriptors are flat after so short a time is for the long form to say.
    assert [fault for fault in saved["violations"] if " became " not in fault] == []
    assert saved["taken by the bridge"] == saved["published"]
    assert saved["twins compared"] == 150
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if " min: " in line]
    assert len(lines) >= 2
    assert all("descriptors" in line and "threads" in line for line in lines)


def samples(resident: tuple[float, float], descriptors: tuple[int, int]) -> list[Vitals]:
    """Return samples of a run that is long enough, the first and the second half of each kind."""
    count = 2 * JUDGED_S
    return [
        Vitals(float(at), resident[at >= count // 2], descriptors[at >= count // 2], 5, 1.0)
        for at in range(count)
    ]


@pytest.mark.parametrize(
    ("resident", "descriptors", "faults"),
    [
        ((200, 203), (19, 19), []),
        ((200, 205), (19, 19), ["resident memory grew by 1.025, more than 1.02"]),
        ((200, 200), (19, 20), ["19 descriptors became 20"]),
    ],
)
def test_what_grows_is_a_violation(
    resident: tuple[float, float], descriptors: tuple[int, int], faults: list[str]
) -> None:
    """After the warm-up, by the medians at both ends."""
    report = Report()
    judge(Plan(), samples(resident, descriptors), report)
    assert report.violations == faults


def test_a_short_run_does_not_judge_memory() -> None:
    """Caches are still being filled."""
    report = Report()
    judge(Plan(), samples((100, 200), (19, 19))[:JUDGED_S], report)
    assert report.violations == []
