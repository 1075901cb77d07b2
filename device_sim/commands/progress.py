"""Shows how a run gets on, on the standard error: a bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from device_sim.fleet import Fleet, Phase

_BAR_INTERVAL_S = 0.2
_LINE_INTERVAL_S = 5.0


@asynccontextmanager
async def show_progress(fleet: Fleet) -> AsyncIterator[None]:
    """Show a fleet's progress while the block runs."""
    console = Console(stderr=True)
    show = _bar if console.is_terminal else _lines
    task = asyncio.create_task(show(fleet, console), name="progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _bar(fleet: Fleet, console: Console) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        while True:
            now = fleet.progress()
            bar.update(
                task,
                description=_text(fleet),
                total=now.total_s,
                completed=min(
                    now.elapsed_s, now.total_s if now.total_s is not None else now.elapsed_s
                ),
            )
            await asyncio.sleep(_BAR_INTERVAL_S)


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
            elapsed_s = fleet.progress().elapsed_s
            console.print(f"{elapsed_s:.0f} s: {_text(fleet)}", soft_wrap=True, highlight=False)


def _text(fleet: Fleet) -> str:
    now = fleet.progress()
    refused = f", {now.refused:,} refused" if now.refused else ""
    faults = f", {now.faults:,} faults" if now.faults else ""
    phase = f"{now.phase} ({now.stage})" if now.stage and now.phase is Phase.RUNNING else now.phase
    return (
        f"{phase}: {now.online:,} of {fleet.options.devices:,} online, "
        f"{now.sent:,} sent, {now.acknowledged:,} acknowledged{refused}{faults}"
    )
