"""The rows of the table: what is measured, against what, and what it is to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from benchmarks.peers import BRIDGE, ECHO, GROUP_COMMIT, PER_MESSAGE
from benchmarks.phases import Figures


class Measured(NamedTuple):
    """Whom a workload measures."""

    peer: str
    workload: str


Runs = Mapping[Measured, Sequence[Figures]]
"""The figures of each round; empty where it did not come to its end."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line.

    Attributes:
        group: How it is chosen on the command line.
        title: What it says; the sizes of the plan are filled in.
        figure: The figure of both sides.
        unit: Of the figure.
        measured: The bridge, under a workload.
        reference: What it is held against; None where the figure itself has a target.
        target: What the ratio, or the figure, is to be.
        at_least: The target is a lower bound; otherwise an upper one.
    """

    group: str
    title: str
    figure: str
    unit: str
    measured: Measured
    reference: Measured | None
    target: float
    at_least: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What came out for a row.

    Attributes:
        row: The row.
        value: Median of the bridge's figure; None where no round came to its end.
        reference: Median of the reference's figure, or None.
        ratio: Median of the ratios, each of one round, or None.
        holds: The target is met.
    """

    row: Row
    value: float | None
    reference: float | None
    ratio: float | None
    holds: bool


_SATURATED: Final = Measured(BRIDGE, "saturated")
_MANY: Final = Measured(BRIDGE, "many")
_MILLION: Final = Measured(BRIDGE, "million")
_SOAK: Final = Measured(BRIDGE, "soak")

_PER_S: Final = ("updates_per_s", "updates/s")


def _row(
    group: str,
    title: str,
    figure: tuple[str, str],
    measured: Measured,
    reference: Measured | None = None,
    *,
    at_least: float | None = None,
    at_most: float = 0.0,
) -> Row:
    target = at_most if at_least is None else at_least
    return Row(group, title, *figure, measured, reference, target, at_least is not None)


def _by_the_echo(
    group: str,
    title: str,
    figure: tuple[str, str],
    workload: str,
    *,
    at_least: float | None = None,
    at_most: float = 0.0,
) -> Row:
    measured, reference = Measured(BRIDGE, workload), Measured(ECHO, workload)
    return _row(group, title, figure, measured, reference, at_least=at_least, at_most=at_most)


ROWS: Final = (
    _by_the_echo("saturated", "saturated, {devices:,} devices", _PER_S, "saturated", at_least=1.7),
    _row(
        "saturated",
        "the same by the paho bridge with group commit",
        _PER_S,
        _SATURATED,
        Measured(GROUP_COMMIT, "saturated"),
        at_least=4.0,
    ),
    _row(
        "saturated",
        "the same by the paho bridge with a commit per message",
        _PER_S,
        _SATURATED,
        Measured(PER_MESSAGE, "saturated"),
        at_least=15.0,
    ),
    _by_the_echo("many", "saturated, {many_devices:,} devices", _PER_S, "many", at_least=0.85),
    _by_the_echo(
        "closed",
        "closed loop, {outstanding:,} outstanding, {devices:,} devices",
        _PER_S,
        "closed",
        at_least=1.0,
    ),
    _row(
        "cpu",
        "the bridge's CPU per update, saturated, {devices:,} devices",
        ("peer_cpu_us", "µs"),
        _SATURATED,
        at_most=14.0,
    ),
    _row(
        "cpu",
        "the same with {many_devices:,} devices",
        ("peer_cpu_us", "µs"),
        _MANY,
        at_most=25.0,
    ),
    _by_the_echo(
        "latency", "latency at {rate_per_s:,}/s, p50", ("p50_ms", "ms"), "latency", at_most=3.0
    ),
    _by_the_echo(
        "latency", "latency at {rate_per_s:,}/s, p99", ("p99_ms", "ms"), "latency", at_most=4.0
    ),
    _row(
        "million",
        "{twins:,} twins in the store, by {many_devices:,} devices",
        _PER_S,
        _MILLION,
        _MANY,
        at_least=0.7,
    ),
    _row(
        "startup",
        "from start to the first state, {twins:,} twins",
        ("ready_s", "s"),
        _MILLION,
        at_most=5.0,
    ),
    _row(
        "memory",
        "most resident memory in {soak_s:,} s, {twins:,} twins",
        ("peak_mib", "MiB"),
        _SOAK,
        at_most=400.0,
    ),
    _row(
        "memory",
        "resident memory at the end, by that at the beginning",
        ("growth", "x"),
        _SOAK,
        at_most=1.05,
    ),
    _row(
        "large",
        "`reported` of 4 KiB, by 150 bytes",
        _PER_S,
        Measured(BRIDGE, "large"),
        _SATURATED,
        at_least=0.5,
    ),
    _row("idle", "idle", ("core_percent", "% of a core"), Measured(BRIDGE, "idle"), at_most=0.5),
)

GROUPS: Final = tuple(dict.fromkeys(row.group for row in ROWS))


def needed(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Return workload -> peers, so that a reference is measured beside what it is held against."""
    workloads: dict[str, list[str]] = {}
    for row in rows:
        for side in filter(None, (row.reference, row.measured)):
            peers = workloads.setdefault(side.workload, [])
            if side.peer not in peers:
                peers.append(side.peer)
    return workloads


def evaluate(rows: Iterable[Row], runs: Runs) -> list[Result]:
    """Return what came out for each row."""
    return [_evaluate(row, runs) for row in rows]


def _evaluate(row: Row, runs: Runs) -> Result:
    # A round counts where both sides came to their end.
    pairs = [
        (mine[row.figure], its[row.figure])
        for mine, its in zip(runs[row.measured], runs[row.reference or row.measured], strict=True)
        if row.figure in mine and row.figure in its
    ]
    if not pairs:
        return Result(row, None, None, None, holds=False)
    value = decides = median(mine for mine, _ in pairs)
    reference = ratio = None
    if row.reference is not None:
        reference = median(its for _, its in pairs)
        ratio = decides = median(mine / its for mine, its in pairs)
    holds = decides >= row.target if row.at_least else decides <= row.target
    return Result(row, value, reference, ratio, holds)
