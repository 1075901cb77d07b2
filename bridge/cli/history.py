"""`syncbridge history`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, as_object, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import patch_spans, shown_time
from bridge.cli.names import twin_key
from bridge.cli.options import command, json_option, limit_option, name_option
from bridge.cli.spans import Span
from bridge.cli.terminal import is_terminal, line_printer, print_note
from bridge.cli.text import compact_json, printable
from bridge.core.limits import INTEGER_MAX
from bridge.core.topics import TwinKey

if TYPE_CHECKING:
    from bridge.api import AdminClient

_ROWS_PER_PAGE = 200


@command("history")
@click.argument("device")
@limit_option
@click.option(
    "--below",
    type=click.IntRange(1, INTEGER_MAX),
    metavar="VERSION",
    help="Only changes below VERSION.",
)
@name_option
@json_option
@store_option
@pass_invocation
def history(
    invocation: Invocation,
    device: str,
    limit: int,
    below: int | None,
    name: str,
    as_json: bool,
    store_path: str | None,
) -> None:
    """List the changes of a twin, the newest first.

    A running bridge is asked, through a socket beside its store; where none runs, the store is
    opened. How many changes are kept is configured. What only changed the device's presence has
    made a version and is not among them.

    \b
    Examples:
      syncbridge history lamp-1
      syncbridge history lamp-1 --below 65 --limit 200
      syncbridge history lamp-1 --json | jq -c 'select(.writer == "app-1")'

    Ends with status 5 if there is no such twin.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    print_line = line_printer()
    for_terminal = is_terminal()
    shown = 0
    with administer(load_config(invocation, store_path)) as client:
        for row in _rows(client, key, below, limit):
            shown += 1
            if as_json:
                click.echo(compact_json({"device": key.device, "name": key.name, **row}))
            else:
                print_line(list(_spans(row, for_terminal=for_terminal)))
    if not shown and not as_json:
        print_note(f"no change of {key} is kept{f' below version {below}' if below else ''}")


def _rows(client: AdminClient, key: TwinKey, below: int | None, limit: int) -> Iterator[JsonRow]:
    while limit > 0:
        page = rows_of(
            client.history(key, below_version=below, limit=min(limit, _ROWS_PER_PAGE)), "history"
        )
        yield from page
        if not page:
            return
        limit -= len(page)
        below = integer(page[-1], "version")


def _spans(row: JsonRow, *, for_terminal: bool) -> Iterator[Span]:
    yield Span(shown_time(integer(row, "at"), for_terminal=for_terminal), "dim")
    yield Span(f"v{integer(row, 'version')}", "bold")
    yield Span(printable(text(row, "writer")), "cyan")
    if row.get("patch") is None:
        yield Span("deleted", "bold red")
        return
    spans = list(
        patch_spans(text(row, "section"), as_object(row, "patch"), as_object(row, "previous"))
    )
    # A report of nothing, which made the twin.
    yield from spans or [Span(f"{text(row, 'section')} {{}}")]
