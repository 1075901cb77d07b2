"""The benchmark suite: the bridge next to its references, each row with its own in the same run.

Every run has a fresh Mosquitto and a fresh peer, on loopback. Those that are compared take turns,
and the median of the rounds counts. The load checks what comes out; the exit status is 1 where a
state was wrong, and not where a target is missed. docs/performance.md says how it is measured.

    python -m benchmarks.suite
    python -m benchmarks.suite --rows saturated,closed --rounds 5
    python -m benchmarks.suite --rows memory --soak-s 600
    python -m benchmarks.suite --profile many
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.machine import describe_machine
from benchmarks.peers import BRIDGE
from benchmarks.phases import Figures
from benchmarks.plan import QUICK, Plan
from benchmarks.profiled_bridge import print_profiles
from benchmarks.report import save_json
from benchmarks.result_chart import result_chart
from benchmarks.rows import GROUPS, ROWS, Measured, Result, Row, evaluate, needed
from benchmarks.table import cost_table, result_table
from benchmarks.workloads import ONCE, WORKLOADS, Setting, measure

RESULTS: Final = Path("bench-results")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was measured.

    Attributes:
        runs: The figures of each round.
        faults: What was wrong with the states, one line each.
    """

    runs: Mapping[Measured, Sequence[Figures]]
    faults: Sequence[str]


async def measure_all(rows: Sequence[Row], plan: Plan, directory: Path) -> Outcome:
    """Measure all that some rows need, in rounds."""
    runs: dict[Measured, list[Figures]] = {}
    faults: list[str] = []
    workloads = needed(rows)
    for number in range(plan.rounds):
        for workload, peers in workloads.items():
            if workload in ONCE and number:
                continue
            # In turns, so that none of them always comes first.
            for peer in peers if number % 2 == 0 else reversed(peers):
                with tempfile.TemporaryDirectory(dir=directory) as own:
                    setting = Setting(peer, plan, Path(own), directory / "seeded.db")
                    figures, found = await measure(workload, setting)
                runs.setdefault(Measured(peer, workload), []).append(figures)
                faults += [f"{workload}, {peer}, round {number + 1}: {fault}" for fault in found]
                print(f"round {number + 1}, {workload}, {peer}: {in_short(figures)}", flush=True)
    return Outcome(runs, faults)


def in_short(figures: Figures) -> str:
    """Return figures on one line."""
    return ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())


def conclude(
    rows: Sequence[Row], plan: Plan, outcome: Outcome, *, json_to: Path, chart_to: Path
) -> int:
    """Print and save everything; returns the exit status."""
    machine = describe_machine()
    results = evaluate(rows, outcome.runs)
    print("\n" + "; ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"medians of {plan.rounds} rounds" + note_on(plan) + "\n")
    print(result_table(results, plan))
    print(cost_table(outcome.runs))
    for path in (json_to, chart_to):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_json(json_to, _document(machine, plan, results, outcome))
    chart_to.write_text(result_chart(plan, outcome.runs, machine), encoding="utf-8")
    print(f"saved as {json_to} and {chart_to}")
    for fault in outcome.faults:
        print(f"WRONG {fault}", file=sys.stderr)
    return 1 if outcome.faults else 0


def note_on(plan: Plan) -> str:
    """Return where a plan is smaller than what the targets are for."""
    if plan.twins < Plan().twins:
        return "; sizes are those of a quick run, whose figures mean nothing"
    return "" if plan.soak_s >= SOAK_S else f"; memory was watched for {plan.soak_s} s only"


SOAK_S: Final = 600
"""How long memory is to be flat; the default is shorter."""


def _document(
    machine: Mapping[str, str], plan: Plan, results: Sequence[Result], outcome: Outcome
) -> dict[str, object]:
    return {
        "machine": dict(machine),
        "plan": asdict(plan),
        "rows": [asdict(result) for result in results],
        "runs": [
            {"peer": peer, "workload": workload, "rounds": rounds}
            for (peer, workload), rounds in outcome.runs.items()
        ],
        "wrong": list(outcome.faults),
    }


async def profile(workload: str, plan: Plan, directory: Path) -> None:
    """Measure the bridge once under the profiler and print where its time goes."""
    profile_to = directory / "profile"
    setting = Setting(BRIDGE, plan, directory / "run", directory / "seeded.db", profile_to)
    figures, _ = await measure(workload, setting)
    print(f"under the profiler: {in_short(figures)}")
    print_profiles(profile_to)


def chosen_rows(text: str) -> list[Row]:
    """Return the rows of the groups that are named, for `argparse`."""
    groups = text.split(",")
    for group in groups:
        if group not in GROUPS:
            raise argparse.ArgumentTypeError(f"{group!r} is none of {', '.join(GROUPS)}")
    return [row for row in ROWS if row.group in groups]


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rows", type=chosen_rows, default=list(ROWS), help=f"some of {','.join(GROUPS)}"
    )
    parser.add_argument("--rounds", type=bounded(1, 15), help="how often each is measured")
    parser.add_argument(
        "--soak-s", type=bounded(1, 86_400), help="how long memory is watched; 60 by default"
    )
    parser.add_argument("--quick", action="store_true", help="tiny: shows that it works")
    parser.add_argument("--json", type=Path, default=RESULTS / "results.json")
    parser.add_argument("--chart", type=Path, default=RESULTS / "benchmark.svg")
    parser.add_argument("--directory", type=Path, help="where stores are made; they need 2 GB")
    parser.add_argument(
        "--profile",
        nargs="?",
        const="saturated",
        choices=list(WORKLOADS),
        help="only the bridge, once, profiled under a workload",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 where a state was wrong."""
    given = make_parser().parse_args(arguments)
    plan = QUICK if given.quick else Plan()
    plan = replace(plan, rounds=given.rounds or plan.rounds, soak_s=given.soak_s or plan.soak_s)
    with tempfile.TemporaryDirectory(dir=given.directory) as name:
        directory = Path(name)
        if given.profile:
            asyncio.run(profile(given.profile, plan, directory))
            return 0
        outcome = asyncio.run(measure_all(given.rows, plan, directory))
    return conclude(given.rows, plan, outcome, json_to=given.json, chart_to=given.chart)


def _end_in_good_order(_signal: int, _frame: FrameType | None) -> None:
    """End what was started before ending: brokers and peers are processes of their own."""
    sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_in_good_order)
    sys.exit(main())
