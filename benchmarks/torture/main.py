"""Runs rounds of torture in parallel lanes, until the time is up, and sums them up.

Each round is a process with a broker, a store and ports of its own. What a round does follows from
the seed and its number alone: `--seed 1 --round 17` does again what round 17 did.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from benchmarks.arguments import bounded
from benchmarks.processes import REPOSITORY, ProcessEndedError
from benchmarks.report import Report
from benchmarks.torture.plan import LIVES, make_plan
from benchmarks.torture.round import Round, failure
from bridge.errors import ConnectRefused, NotAnswered

LANES: Final = 3
"""Rounds at a time: more than cores, because a round waits most of the time."""

LANES_AT_MOST: Final = 64
MINUTES_AT_MOST: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Course:
    """All rounds of a run.

    Attributes:
        seed: Of all plans.
        lanes: How many rounds run at a time.
        duration_s: No round begins later than this.
        lives: Of the bridge in each round.
        keep: Where the remains of a round with violations are kept; None: nowhere.
    """

    seed: int
    lanes: int
    duration_s: float
    lives: int
    keep: Path | None


async def run_round(seed: int, number: int, lives: int, directory: Path) -> dict[str, object]:
    """Run one round in this process; returns its figures and violations."""
    round_ = Round(make_plan(seed, number, lives=lives), directory)
    violations: list[str] = []
    try:
        verdict = await round_.run()
        violations += [str(each) for each in verdict.violations]
        if verdict.figures["updates refused"]:
            violations.append(f"{verdict.figures['updates refused']} updates were refused")
    except (ProcessEndedError, NotAnswered, ConnectRefused) as error:
        violations.append(failure(error))
    return {"figures": round_.figures, "violations": violations}


async def _lane(course: Course, numbers: list[int], ends_at: float, report: Report) -> Counter[str]:
    """Run one round after another, each in a process of its own."""
    sums: Counter[str] = Counter()
    while time.monotonic() < ends_at:
        number = numbers.pop()
        numbers.append(number + 1)
        result = await _child(course, number)
        figures = result["figures"]
        sums.update(figures)
        sums["rounds"] += 1
        line = f"round {number}: " + ", ".join(
            f"{figures.get(name, 0)} {name}"
            for name in ("bridge kills", "broker kills", "updates acknowledged", "seconds")
        )
        print(f"{line}, {len(result['violations'])} violations", flush=True)
        report.violations += [f"round {number}: {each}" for each in result["violations"]]
    return sums


async def _child(course: Course, number: int) -> dict:  # type: ignore[type-arg]
    words = ["--seed", course.seed, "--round", number, "--lives", course.lives]
    if course.keep is not None:
        words += ["--keep", course.keep]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.torture", *map(str, words), "--result",
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    try:
        result: dict[str, object] = orjson.loads(output)
    except orjson.JSONDecodeError:
        reason = f"its process ended with {process.returncode}: {output.decode()[-500:]}"
        return {"figures": {}, "violations": [reason]}
    return result


async def run_course(course: Course) -> Report:
    """Run rounds in all lanes until the time is up."""
    report = Report()
    began = time.monotonic()
    numbers = [0]
    lanes = (_lane(course, numbers, began + course.duration_s, report) for _ in range(course.lanes))
    sums: Counter[str] = Counter()
    for lane in await asyncio.gather(*lanes):
        sums.update(lane)
    minutes = (time.monotonic() - began) / 60
    del sums["seconds"]
    report.add("seed", course.seed)
    for name, figure in sorted(sums.items()):
        report.add(name, figure)
    report.add("minutes", round(minutes, 1))
    for name in ("bridge kills", "broker kills"):
        report.add(f"{name} a minute", round(sums[name] / minutes, 1))
    lost = ("acknowledged-is-kept", "last-state-is-what-was-sent", "conflicts-are")
    report.add("losses", sum(any(w in v for w in lost) for v in report.violations))
    report.add("regressions", sum("state-never-goes-back" in v for v in report.violations))
    return report


def _one_round(given: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        result = asyncio.run(run_round(given.seed, given.round, given.lives, Path(temporary) / "r"))
        if result["violations"] and given.keep is not None:
            kept = given.keep / f"seed-{given.seed}-round-{given.round}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            Path(temporary, "r").rename(kept)
    if given.result:
        print(orjson.dumps(result).decode())
        return 0
    report = Report()
    report.figures = dict(result["figures"])  # type: ignore[call-overload]
    report.violations = list(result["violations"])  # type: ignore[call-overload]
    return report.conclude(given.json)


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=bounded(1, LANES_AT_MOST), default=LANES)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="no round begins later; a round takes one"
    )
    parser.add_argument("--round", type=int, help="only this one, to see again what it did")
    parser.add_argument("--lives", type=bounded(1, 1000), default=LIVES, help="in a round")
    parser.add_argument("--keep", type=Path, help="keep what a round with violations leaves")
    parser.add_argument("--json", type=Path, help="save the figures here")
    parser.add_argument("--result", action="store_true", help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    given = make_parser().parse_args(arguments)
    if given.round is not None:
        return _one_round(given)
    keep = None if given.keep is None else given.keep.resolve()
    minutes = min(given.minutes, MINUTES_AT_MOST)
    course = Course(given.seed, given.lanes, minutes * 60, given.lives, keep)
    print(
        f"seed {course.seed}: rounds of {course.lives} lives in {course.lanes} lanes for "
        f"{minutes:g} minutes; to see one again: "
        f"python -m benchmarks.torture --seed {course.seed} --round N",
        flush=True,
    )
    return asyncio.run(run_course(course)).conclude(given.json)
