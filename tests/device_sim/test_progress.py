"""What a terminal shows while a fleet runs."""

from __future__ import annotations

import io

from rich.console import Console

from device_sim.commands.progress import details
from device_sim.fleet import Phase, Progress


def test_the_terminal_shows_what_goes_on() -> None:
    """Devices, reports with their rates, desired changes, refusals and faults."""
    now = Progress(Phase.RUNNING, 5.0, 60.0, 1000, 998, 12_345, 12_300, 3, 17, faults=42)
    console = Console(file=io.StringIO(), width=80)
    console.print(details(now, 1000, ("250/s", "249/s")))
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines == [
        ["online", "998", "of", "1,000", "desired", "17"],
        ["sent", "12,345", "250/s", "refused", "3"],
        ["acknowledged", "12,300", "249/s", "faults", "42"],
    ]
