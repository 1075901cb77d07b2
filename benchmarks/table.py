"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from statistics import median
from typing import Final

from benchmarks.plan import Plan
from benchmarks.rows import Result, Runs

_HEAD: Final = ("what", "bridge", "reference", "ratio", "target", "holds")

_COSTS_HEAD: Final = (
    "workload",
    "peer",
    "updates/s",
    "peer, µs",
    "broker, µs",
    "load, µs",
    "states per update",
)


def result_table(results: Iterable[Result], plan: Plan) -> str:
    """Return a line for each row: the bridge, its reference, and whether the target is met."""
    return table(_HEAD, [_cells(result, plan) for result in results])


def title(result: Result, plan: Plan) -> str:
    """Return the title of a row with its sizes."""
    return result.row.title.format_map(asdict(plan))


def _cells(result: Result, plan: Plan) -> list[str]:
    row = result.row
    reference = ratio = ""
    if row.reference is not None and result.reference is not None and result.ratio is not None:
        reference = f"{row.reference.peer}: {figure(result.reference)}"
        ratio = f"{result.ratio:.2f}"
    times = "" if row.reference is None else " x"
    target = f"{'≥' if row.at_least else '≤'} {row.target:g}{times}"
    value = "not measured" if result.value is None else f"{figure(result.value)} {row.unit}"
    return [title(result, plan), value, reference, ratio, target, "yes" if result.holds else "NO"]


def cost_table(runs: Runs) -> str:
    """Return the CPU time per update of peer, broker and load, of each workload that counts it."""
    lines = []
    for (peer, workload), measured in runs.items():
        rounds = [figures for figures in measured if "load_cpu_us" in figures]
        if not rounds:
            continue
        medians = {name: median(figures[name] for figures in rounds) for name in rounds[0]}
        per_s = medians.get("updates_per_s")
        states = medians.get("states_per_update")
        lines.append(
            [
                workload,
                peer,
                "" if per_s is None else figure(per_s),
                *(f"{medians[f'{who}_cpu_us']:.1f}" for who in ("peer", "broker", "load")),
                "" if states is None else f"{states:.2f}",
            ]
        )
    return table(_COSTS_HEAD, lines) if lines else ""


def figure(value: float) -> str:
    """Return a figure with about three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    head = list(head)
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"
