"""A summary as people read it: one line for each thing, on a terminal and in a pipe alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from bridge.device import JsonValue
from device_sim.document import Missing
from device_sim.summary import Summary, TwinDifference

_VALUE_LENGTH = 60
"""Characters of a value that are shown."""


def print_summary(summary: Summary, console: Console) -> None:
    """Print a summary, with the differences if there are any."""
    for name, text, is_bad in rows_of(summary):
        _print(console, (f"{name:<17}", "dim"), (text, "bold red" if is_bad else ""))
    for reason in summary.refusals:
        _print(console, ("refused          ", "dim"), (_plain(reason), ""))
    print_differences(summary.differences, console)
    left_out = summary.differences_total - len(summary.differences)
    if left_out:
        _print(console, (f"and {left_out:,} more differences", ""))


def print_differences(differences: Sequence[TwinDifference], console: Console) -> None:
    """Print the differences with device, path and both values."""
    for each in differences:
        field = f"{each.section}.{each.path}" if each.path else each.section
        _print(
            console,
            ("different        ", "dim"),
            (f"{each.device} {_plain(field)}: expected ", ""),
            (_value(each.expected), "green"),
            (", the twin has ", ""),
            (_value(each.actual), "red"),
        )


def rows_of(summary: Summary) -> list[tuple[str, str, bool]]:
    """Return name, text, and whether it is what makes the run fail."""
    return [*_fleet_rows(summary), *_traffic_rows(summary), *_fault_rows(summary)]


def _fleet_rows(summary: Summary) -> list[tuple[str, str, bool]]:
    stopped = ", stopped early" if summary.interrupted else ""
    scenario = f", scenario {summary.scenario}" if summary.scenario else ""
    rows = [
        (
            "devices",
            f"{summary.devices:,} for {summary.elapsed_s:.1f} s, seed {summary.seed}"
            f"{scenario}{stopped}",
            False,
        )
    ]
    if summary.connects:
        allowed = f"open files allow {summary.connections_allowed:,} at a time"
        rows.append(("connections", f"{summary.connects:,}; {allowed}", False))
    if summary.resident_mib:
        memory = f"{summary.resident_mib:.0f} MiB, {summary.device_kib:.0f} KiB for each device"
        rows.append(("memory", memory, False))
    return rows


def _fault_rows(summary: Summary) -> list[tuple[str, str, bool]]:
    """Return what was injected, what failed, and the verdict."""
    rows = [
        (name, ", ".join(f"{kind} {count:,}" for kind, count in counts.items()), False)
        for name, counts in (("faults", summary.faults), ("errors", summary.errors))
        if counts
    ]
    equal = f"{summary.twins_equal:,} of {summary.compared:,} are what their devices believe"
    rows.append(("twins", equal, summary.differences_total > 0))
    reasons = Counter(summary.excused.values())
    if reasons:
        text = "; ".join(f"{count:,}: {reason}" for reason, count in reasons.items())
        rows.append(("not compared", text, False))
    return rows


def _traffic_rows(summary: Summary) -> list[tuple[str, str, bool]]:
    rows = [
        (
            "reports",
            f"{summary.sent:,} sent, {summary.acknowledged:,} acknowledged"
            + _some(summary.refused, "refused")
            + _some(summary.duplicates, "duplicates")
            + _some(summary.repeated, "sent again")
            + _some(summary.superseded, "superseded")
            + _some(summary.forgotten, "forgotten in restarts")
            + _some(summary.unanswered, "unanswered")
            + _some(summary.dropped, "dropped for lack of room"),
            summary.unanswered > 0,
        ),
        ("publish to state", _latency(summary), False),
        (
            "versions",
            f"{summary.versions:,}"
            + _some(summary.went_back, "retained states came after a newer one"),
            summary.went_back > 0,
        ),
        (
            "desired",
            f"{summary.desired_sent:,} changes, {summary.desired_converged:,} converged"
            + _some(summary.desired_refused, "refused")
            + _some(summary.desired_unanswered, "unanswered"),
            summary.desired_unanswered > 0,
        ),
    ]
    if summary.deltas:
        text = f"{summary.deltas:,} received, {summary.obeyed:,} obeyed{_convergence(summary)}"
        rows.append(("deltas", text, False))
    return rows


def _print(console: Console, *parts: tuple[str, str]) -> None:
    console.print(Text.assemble(*parts), soft_wrap=True)


def _some(count: int, of: str) -> str:
    return f", {count:,} {of}" if count else ""


def _latency(summary: Summary) -> str:
    if summary.latency_p50_ms is None:
        return "not seen"
    return (
        f"p50 {summary.latency_p50_ms:.1f} ms, p99 {summary.latency_p99_ms:.1f} ms, "
        f"longest {summary.latency_max_ms:.1f} ms"
    )


def _convergence(summary: Summary) -> str:
    if summary.convergence_p50_ms is None:
        return ""
    return (
        f"; outstanding p50 {summary.convergence_p50_ms:.1f} ms, "
        f"p99 {summary.convergence_p99_ms:.1f} ms, longest {summary.convergence_max_ms:.1f} ms"
    )


def _value(value: JsonValue | Missing) -> str:
    text = "nothing" if isinstance(value, Missing) else _plain(json.dumps(value))
    return text if len(text) <= _VALUE_LENGTH else text[: _VALUE_LENGTH - 1] + "…"


def _plain(text: str) -> str:
    """Escape what is not printable: what comes over the network must not move the cursor."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
