"""Shows how a run gets on, on the standard error: a bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from device_sim.fleet import Fleet

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
    while True:
        await asyncio.sleep(_LINE_INTERVAL_S)
        console.print(
            f"{fleet.progress().elapsed_s:.0f} s: {_text(fleet)}", soft_wrap=True, highlight=False
        )


def _text(fleet: Fleet) -> str:
    now = fleet.progress()
    refused = f", {now.refused:,} refused" if now.refused else ""
    return (
        f"{now.phase}: {now.online:,} of {fleet.options.devices:,} online, "
        f"{now.sent:,} sent, {now.acknowledged:,} acknowledged{refused}"
    )
