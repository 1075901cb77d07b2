"""A summary as people and programs read it."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from device_sim.document import MISSING
from device_sim.report import print_summary
from device_sim.summary import Summary, TwinDifference

GOOD = Summary(
    seed=7,
    devices=2,
    elapsed_s=30.04,
    interrupted=False,
    sent=12345,
    repeated=0,
    acknowledged=12345,
    refused=0,
    duplicates=0,
    unanswered=0,
    dropped=0,
    latency_count=12345,
    latency_p50_ms=1.25,
    latency_p99_ms=3.0,
    latency_max_ms=12.0,
    versions=12000,
    went_back=0,
    desired_sent=3,
    desired_acknowledged=3,
    desired_refused=0,
    desired_unanswered=0,
    desired_converged=3,
    twins_equal=2,
    differences=(),
    differences_total=0,
    refusals=(),
)


def _text(summary: Summary) -> list[str]:
    console = Console(file=io.StringIO(), width=40)
    print_summary(summary, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_good_run_says_no_more_than_it_has_to() -> None:
    """One line for each thing, however narrow the terminal."""
    assert GOOD.ok
    assert _text(GOOD) == [
        "devices          2 for 30.0 s, seed 7",
        "reports          12,345 sent, 12,345 acknowledged",
        "publish to state p50 1.2 ms, p99 3.0 ms, longest 12.0 ms",
        "versions         12,000",
        "desired          3 changes, 3 converged",
        "twins            2 of 2 are what their devices believe",
    ]


def test_everything_that_went_wrong_is_named() -> None:
    """Counts where they are not 0, reasons, and differences with both values."""
    long = "x" * 100
    bad = dataclasses.replace(
        GOOD,
        interrupted=True,
        repeated=1,
        refused=2,
        duplicates=3,
        unanswered=4,
        dropped=5,
        went_back=6,
        desired_refused=7,
        desired_unanswered=8,
        twins_equal=0,
        latency_p50_ms=None,
        differences=(
            TwinDifference("a", "reported", "x.y", 1.0, MISSING),
            TwinDifference("b", "reported", "", {}, long),
        ),
        differences_total=102,
        refusals=("a: 413 twin_too_large: shrink it",),
    )
    assert not bad.ok
    assert _text(bad) == [
        "devices          2 for 30.0 s, seed 7, stopped early",
        "reports          12,345 sent, 12,345 acknowledged, 2 refused, 3 duplicates, 1 sent again, "
        "4 unanswered, 5 dropped for lack of room",
        "publish to state not seen",
        "versions         12,000, 6 retained states came after a newer one",
        "desired          3 changes, 3 converged, 7 refused, 8 unanswered",
        "twins            0 of 2 are what their devices believe",
        "refused          a: 413 twin_too_large: shrink it",
        "different        a reported.x.y: expected 1.0, the twin has nothing",
        f'different        b reported: expected {{}}, the twin has "{"x" * 58}…',
        "and 100 more differences",
    ]


def test_each_kind_of_failure_fails_the_run() -> None:
    """A difference, something unanswered, or a state that went back; refusals alone do not."""
    for field in ("differences_total", "unanswered", "desired_unanswered", "went_back"):
        assert not dataclasses.replace(GOOD, **{field: 1}).ok  # type: ignore[arg-type]
    assert dataclasses.replace(GOOD, refused=1, desired_refused=1, interrupted=True).ok


def test_what_happened_is_told_where_something_did() -> None:
    """Connections, memory, deltas, faults, errors and who is not compared."""
    summary = dataclasses.replace(
        GOOD,
        devices=3,
        scenario="power-cut",
        connects=1234,
        connections_allowed=19_900,
        resident_mib=288.4,
        device_kib=26.3,
        deltas=9,
        obeyed=8,
        convergence_p50_ms=3.0,
        convergence_p99_ms=4.0,
        convergence_max_ms=5.0,
        superseded=2,
        forgotten=1,
        faults={"cut": 3, "loss": 1200},
        errors={"Connection refused": 2},
        excused={"lamp-0001": "two devices have this id"},
    )
    assert _text(summary) == [
        "devices          3 for 30.0 s, seed 7, scenario power-cut",
        "connections      1,234; open files allow 19,900 at a time",
        "memory           288 MiB, 26 KiB for each device",
        "reports          12,345 sent, 12,345 acknowledged, 2 superseded, 1 forgotten in restarts",
        "publish to state p50 1.2 ms, p99 3.0 ms, longest 12.0 ms",
        "versions         12,000",
        "desired          3 changes, 3 converged",
        "deltas           9 received, 8 obeyed; outstanding p50 3.0 ms, p99 4.0 ms, longest 5.0 ms",
        "faults           cut 3, loss 1,200",
        "errors           Connection refused 2",
        "twins            2 of 2 are what their devices believe",
        "not compared     1: two devices have this id",
    ]
