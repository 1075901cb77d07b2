"""What `syncbridge doctor` shows to people: a line for each finding, and what to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bridge.cli.text import printable

if TYPE_CHECKING:
    from bridge.doctor import Finding, Report

_STYLES = {
    "ok": "green",
    "note": "cyan",
    "unknown": "dim",
    "warning": "yellow",
    "critical": "bold red",
}
_WIDTH = max(map(len, _STYLES))

PrintLine = Callable[[Sequence[tuple[str, str]]], None]


def print_finding(print_line: PrintLine, finding: Finding) -> None:
    """Print what was seen, and below it what to change."""
    severity = finding.severity.value
    print_line(
        [
            (f"{severity:<{_WIDTH}}", _STYLES[severity]),
            (f"{finding.check}:", "bold"),
            (printable(finding.message), ""),
        ]
    )
    for broker, change in (("Mosquitto", finding.mosquitto), ("EMQX", finding.emqx)):
        if change:
            print_line([(f"{'':<{_WIDTH}}", ""), (f"  {broker}:", "dim"), (printable(change), "")])


def print_verdict(print_line: PrintLine, report: Report) -> None:
    """Print how many findings there are of each severity."""
    counted = Counter(finding.severity.value for finding in report.findings)
    parts = [f"{counted[severity]} {severity}" for severity in _STYLES if counted[severity]]
    style = _STYLES["critical" if report.is_critical else "ok"]
    print_line([(f"{report.broker}:", "bold"), (", ".join(parts), style)])
