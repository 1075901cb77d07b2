"""Shows how a run gets on, on the standard error: live on a terminal, plain lines in a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from device_sim.fleet import Fleet, Phase
from device_sim.fleet import Progress as Moment

_BAR_INTERVAL_S = 0.2
_RATES_INTERVAL_S = 1.0
_LINE_INTERVAL_S = 5.0


@asynccontextmanager
async def show_progress(fleet: Fleet) -> AsyncIterator[None]:
    """Show a fleet's progress while the block runs."""
    console = Console(stderr=True)
    show = _live if console.is_terminal else _lines
    task = asyncio.create_task(show(fleet, console), name="progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _live(fleet: Fleet, console: Console) -> None:
    """Show a bar, and below it what goes on, with rates of the last second."""
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    )
    task = bar.add_task("", total=None)
    before = now = fleet.progress()
    rates = ("", "")
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while True:
            now = fleet.progress()
            passed_s = now.elapsed_s - before.elapsed_s
            if passed_s >= _RATES_INTERVAL_S:
                rates = (
                    f"{(now.sent - before.sent) / passed_s:,.0f}/s",
                    f"{(now.acknowledged - before.acknowledged) / passed_s:,.0f}/s",
                )
                before = now
            total_s = now.total_s
            done_s = now.elapsed_s if total_s is None else min(now.elapsed_s, total_s)
            bar.update(task, description=_phase(now), total=total_s, completed=done_s)
            live.update(Group(bar, details(now, fleet.options.devices, rates)), refresh=True)
            await asyncio.sleep(_BAR_INTERVAL_S)


def details(now: Moment, devices: int, rates: tuple[str, str]) -> Table:
    """Return what goes on as a table without lines.

    Args:
        now: The moment.
        devices: How many there are to be.
        rates: Reports sent and acknowledged, per second, as text.
    """
    table = Table.grid(padding=(0, 2))
    table.add_row("  online", f"{now.online:,} of {devices:,}", "", "desired", f"{now.desired:,}")
    table.add_row("  sent", f"{now.sent:,}", rates[0], "refused", f"{now.refused:,}")
    table.add_row("  acknowledged", f"{now.acknowledged:,}", rates[1], "faults", f"{now.faults:,}")
    return table


async def _lines(fleet: Fleet, console: Console) -> None:
    """Print a line when the traffic begins, when it ends, and now and then."""
    shown_phase, shown_at_s = fleet.phase, 0.0
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        await asyncio.sleep(_BAR_INTERVAL_S)
        passed_s = loop.time() - began_s
        is_new = fleet.phase is not shown_phase and fleet.phase in (Phase.RUNNING, Phase.CONVERGING)
        if is_new or passed_s - shown_at_s >= _LINE_INTERVAL_S:
            shown_phase, shown_at_s = fleet.phase, passed_s
            now = fleet.progress()
            text = f"{now.elapsed_s:.0f} s: {_text(now, fleet.options.devices)}"
            console.print(text, soft_wrap=True, highlight=False)


def _text(now: Moment, devices: int) -> str:
    refused = f", {now.refused:,} refused" if now.refused else ""
    faults = f", {now.faults:,} faults" if now.faults else ""
    return (
        f"{_phase(now)}: {now.online:,} of {devices:,} online, "
        f"{now.sent:,} sent, {now.acknowledged:,} acknowledged{refused}{faults}"
    )


def _phase(now: Moment) -> str:
    return f"{now.phase} ({now.stage})" if now.stage and now.phase is Phase.RUNNING else now.phase
