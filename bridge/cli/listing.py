"""Lists of rows with an id each, the newest first: read page by page, printed as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import click

from bridge.cli.documents import JsonRow, integer, rows_of
from bridge.cli.spans import Span
from bridge.cli.terminal import is_terminal, line_printer
from bridge.cli.text import compact_json

AskForPage: TypeAlias = Callable[[int | None, int], Mapping[str, object]]
"""(id that all rows are below, or None; at most so many) -> an answer with such rows."""


def rows_before(
    ask: AskForPage, name: str, before: int | None, limit: int, page_rows: int
) -> Iterator[JsonRow]:
    """Yield rows, the newest first.

    Args:
        ask: Asks for a page.
        name: Of the member of an answer that holds its rows.
        before: Only rows with a lower id than this.
        limit: At most so many.
        page_rows: Rows that are asked for at once.
    """
    while limit > 0:
        page = rows_of(ask(before, min(limit, page_rows)), name)
        yield from page
        if not page:
            return
        limit -= len(page)
        before = integer(page[-1], "id")


def print_rows(
    rows: Iterable[JsonRow], spans: Callable[..., Iterator[Span]], *, as_json: bool
) -> int:
    """Print each row in a line: as JSON, or in the spans that are made of it; returns how many."""
    print_line = line_printer()
    for_terminal = is_terminal()
    shown = 0
    for row in rows:
        shown += 1
        if as_json:
            click.echo(compact_json(row))
        else:
            print_line(list(spans(row, for_terminal=for_terminal)))
    return shown
