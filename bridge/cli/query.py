"""`syncbridge query`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import command, json_option, limit_option
from bridge.cli.query_text import reading_query
from bridge.cli.terminal import print_note, print_table
from bridge.cli.text import age_text, compact_json
from bridge.core.topics import TwinKey

if TYPE_CHECKING:
    from bridge.api import AdminClient

_ROWS_PER_PAGE = 200
_MICROSECONDS_PER_SECOND = 1_000_000
_HEADER = ("DEVICE", "ONLINE", "VERSION", "CHANGED")


@command("query")
@click.argument("where")
@limit_option
@json_option
@store_option
@pass_invocation
def query(
    invocation: Invocation, where: str, limit: int, as_json: bool, store_path: str | None
) -> None:
    """List the twins that a query finds, by device and name.

    A running bridge is asked, through a socket beside its store; where none runs, the store is
    opened. The language is a part of SQL's WHERE.

    \b
    Examples:
      syncbridge query "reported.battery < 20 AND online"
      syncbridge query "desired.mode = 'eco'" --json | jq -r .device
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    with administer(load_config(invocation, store_path)) as client, reading_query(where):
        rows = list(_rows(client, where, limit + 1))
    if len(rows) > limit:
        del rows[limit:]
        print_note(f"there are more than these {limit}: use --limit")
    if as_json:
        for row in rows:
            click.echo(compact_json(row))
    elif rows:
        now_us = time.time() * _MICROSECONDS_PER_SECOND
        print_table(_HEADER, [_cells(row, now_us) for row in rows])
    else:
        print_note("the query finds no twin")


def _rows(client: AdminClient, where: str, limit: int) -> Iterator[JsonRow]:
    after: TwinKey | None = None
    while limit > 0:
        size = min(limit, _ROWS_PER_PAGE)
        page = rows_of(client.query(where, after=after, limit=size), "twins")
        yield from page
        if len(page) < size:
            return
        limit -= size
        after = _key(page[-1])


def _key(row: JsonRow) -> TwinKey:
    return TwinKey(text(row, "device"), text(row, "name"))


def _cells(row: JsonRow, now_us: float) -> list[tuple[str, str]]:
    online = row.get("online")
    age_s = (now_us - integer(row, "at")) / _MICROSECONDS_PER_SECOND
    return [
        (str(_key(row)), "bold cyan"),
        ("yes", "green") if online is True else ("no", "red") if online is False else ("-", "dim"),
        (str(integer(row, "version")), ""),
        (age_text(age_s), "dim"),
    ]
