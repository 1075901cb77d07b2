"""What `syncbridge demo` shows: a live table on a terminal, one line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.cli.observed import Change
from bridge.cli.text import age_text
from bridge.cli.watch_format import assignments, change_spans
from bridge.core.difference import difference
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.device.events import Twin

YOURS = "yours"
"""Kind of a device that is not of the fleet: somebody is trying the lines."""

_ROWS_MIN = 3
"""Rows shown on however small a terminal."""

_LINES_AROUND = 6
"""Lines beside rows and footer: the frame, the header, what is left out, and the cursor's."""

_ONLINE = {True: Text("yes", "green"), False: Text("no", "red"), None: Text("-", "dim")}


class View(Protocol):
    """Shows changes, from entering to leaving."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what is shown as it is."""

    def take(self, change: Change) -> None:
        """Take one change."""

    def refresh(self, note: str) -> None:
        """Show what was taken, and a line on what is going on."""


class LineView:
    """One line for each change, at once, below the lines to try."""

    def __init__(self, footer: Sequence[str]) -> None:
        self._header = footer

    def __enter__(self) -> Self:
        for line in self._header:
            click.echo(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the lines where they are."""

    def take(self, change: Change) -> None:
        """Print one change."""
        click.echo(" ".join(span.text for span in change_spans(change, for_terminal=False)))

    def refresh(self, note: str) -> None:
        """Do nothing: everything is printed."""


@dataclass(slots=True)
class _Row:
    """What is known of one twin, for the table."""

    kind: str
    twin: Twin | None = None
    changed: str = ""
    changed_at_s: float = 0.0
    delta: JsonObject = field(default_factory=dict)
    is_done: bool = True


class TableView:
    """A table that is kept up to date, with the lines to try below it.

    Args:
        console: The terminal.
        kinds: Kind of each device of the fleet, by id.
        footer: The lines to try.
    """

    def __init__(self, console: Console, kinds: Mapping[str, str], footer: Sequence[str]) -> None:
        self._console = console
        self._footer = footer
        self._rows = {TwinKey(device): _Row(kind) for device, kind in kinds.items()}
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def take(self, change: Change) -> None:
        """Put one change into its row."""
        observed = change.observed
        row = self._rows.setdefault(observed.key, _Row(YOURS))
        if observed.delta is not None:
            # Devices obey within milliseconds: a delta that is done stays in sight.
            row.delta = observed.delta or row.delta
            row.is_done = not observed.delta
            return
        row.changed = _changed(change.before, observed.twin)
        row.changed_at_s = time.monotonic()
        row.twin = observed.twin

    def refresh(self, note: str) -> None:
        """Draw the table anew."""
        self._live.update(Group(self.table(), Text(note, "dim"), *self._footer_lines()))
        self._live.refresh()

    def table(self) -> Table:
        """Return the table, with as many rows as the terminal has lines for."""
        table = Table(expand=True)
        for title in ("device", "kind", "online"):
            table.add_column(title, no_wrap=True)
        table.add_column("version", justify="right")
        table.add_column("last change", no_wrap=True, ratio=3)
        table.add_column("delta", no_wrap=True, ratio=2)
        width = self._console.width
        footer_lines = sum(1 + max(0, len(line) - 1) // width for line in self._footer)
        room = self._console.height - footer_lines - _LINES_AROUND
        shown = max(_ROWS_MIN, room)
        # What somebody tries beside it is what they look for.
        rows = sorted(self._rows.items(), key=lambda item: item[1].kind != YOURS)
        for key, row in rows[:shown]:
            table.add_row(*_cells(key, row))
        if len(rows) > shown:
            table.caption = f"and {len(rows) - shown} more, on a taller terminal"
        return table

    def _footer_lines(self) -> list[Text]:
        # Folded and never cut: a line that is copied must be whole.
        return [Text(line, overflow="fold") for line in self._footer]


def _cells(key: TwinKey, row: _Row) -> list[Text]:
    device = Text(str(key), "bold cyan")
    if row.twin is None:
        return [device, Text(row.kind), _ONLINE[None], Text(), Text(row.changed, "dim"), Text()]
    age_s = time.monotonic() - row.changed_at_s
    return [
        device,
        Text(row.kind),
        _ONLINE[row.twin.online],
        Text(str(row.twin.version)),
        Text(f"{age_text(age_s):>6}  {row.changed}"),
        _delta(row),
    ]


def _delta(row: _Row) -> Text:
    if not row.delta:
        return Text()
    shown = assignments(row.delta)
    return Text(f"done: {shown}", "dim") if row.is_done else Text(shown, "yellow")


def _changed(before: Twin | None, after: Twin | None) -> str:
    """Say in a few words what has changed."""
    if after is None:
        return "deleted"
    if before is None:
        return assignments(after.reported)
    if after.online != before.online:
        return "online" if after.online else "offline"
    reported, _ = difference(before.reported, after.reported)
    desired, _ = difference(before.desired, after.desired)
    return assignments(reported) or f"desired {assignments(desired)}"
