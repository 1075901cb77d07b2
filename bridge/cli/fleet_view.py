"""How fleet changes are printed."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bridge.cli.documents import as_object, integer, rows_of, text
from bridge.cli.lines import shown_time, value_text
from bridge.cli.spans import Span
from bridge.cli.terminal import is_terminal
from bridge.cli.text import clock_time, iso_time, printable
from bridge.core.section import JsonObject

_STYLES = {
    "halted": "bold red",
    "paused": "yellow",
    "done": "bold green",
    "undone": "bold green",
    "timed_out": "red",
    "refused": "red",
    "converged": "green",
    "overwritten": "yellow",
    "kept": "yellow",
}
_WHERE_CHARACTERS = 60
_FAILED = ("timed_out", "refused")


def _count(states: JsonObject, *names: str) -> int:
    counts = (states.get(name, 0) for name in names)
    return sum(count for count in counts if isinstance(count, int))


def _states_text(states: JsonObject) -> str:
    shown = [f"{count} {name.replace('_', ' ')}" for name, count in states.items()]
    return ", ".join(shown) or "none"


def change_line(row: JsonObject) -> str:
    """Return one line on how a change stands."""
    stages = len(rows_of(row, "stages"))
    line = (
        f"fleet change {text(row, 'id')} is {text(row, 'status')}: stage {integer(row, 'stage')} "
        f"of {stages}, {integer(row, 'targets')} devices: {_states_text(as_object(row, 'states'))}"
    )
    why = text(row, "why")
    return printable(f"{line} ({why})" if why else line)


def progress_spans(row: JsonObject) -> list[Span]:
    """Return one line of progress, for the terminal or a pipe."""
    changed_at = integer(row, "changed_at")
    status = text(row, "status")
    states = as_object(row, "states")
    at = clock_time(changed_at) if is_terminal() else iso_time(changed_at)
    stages = len(rows_of(row, "stages"))
    return [
        Span(at, "dim"),
        Span(status, _STYLES.get(status, "bold cyan")),
        Span(f"stage {integer(row, 'stage')}/{stages}", ""),
        *(
            Span(f"{name.replace('_', ' ')} {count}", _STYLES.get(name, ""))
            for name, count in states.items()
        ),
    ]


def print_change(row: JsonObject) -> None:
    """Print all of a change, one line a stage."""
    click.echo(change_line(row))
    for name, value in _facts(row):
        click.echo(f"  {name + ':':<18}{value}")
    for number, stage in enumerate(rows_of(row, "stages"), 1):
        states = _states_text(as_object(stage, "states"))
        percent = f"{stage.get('percent'):g} %"
        size = integer(stage, "targets")
        click.echo(f"  {f'stage {number}:':<18}to {percent}, {size} devices: {states}")


def _facts(row: JsonObject) -> Iterator[tuple[str, str]]:
    yield "where", printable(text(row, "where"))
    yield "patch", value_text(row.get("patch"))
    yield "pace", f"{row.get('pace_per_s'):g} a second"
    yield "converge within", f"{row.get('converge_within_s'):g} s"
    minimum = integer(row, "halt_minimum")
    yield "halts at", f"{row.get('halt_at_percent'):g} % of a stage, {minimum} at least"
    at = shown_time(integer(row, "created_at"), for_terminal=is_terminal())
    yield "made by", printable(f"{text(row, 'principal')}, {at}")


def row_cells(row: JsonObject) -> list[tuple[str, str]]:
    """Return the cells of a change in a list."""
    status, states = text(row, "status"), as_object(row, "states")
    where = printable(text(row, "where"))
    if len(where) > _WHERE_CHARACTERS:
        where = where[:_WHERE_CHARACTERS] + "…"
    failed = _count(states, *_FAILED)
    return [
        (printable(text(row, "id")), "bold"),
        (printable(status), _STYLES.get(status, "bold cyan")),
        (f"{integer(row, 'stage')}/{len(rows_of(row, 'stages'))}", ""),
        (str(integer(row, "targets")), ""),
        (str(_count(states, "converged")), "green"),
        (str(failed), "red" if failed else "dim"),
        (where, "dim"),
    ]


def device_cells(row: JsonObject) -> list[tuple[str, str]]:
    """Return the cells of a device of a change in a list."""
    name, state = text(row, "name"), text(row, "state")
    key = f"{text(row, 'device')}/{name}" if name else text(row, "device")
    return [
        (printable(key), "bold cyan"),
        (printable(state.replace("_", " ")), _STYLES.get(state, "")),
        (printable(text(row, "why")), "dim"),
    ]
