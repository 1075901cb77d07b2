"""`syncbridge conflicts`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, integer, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import field_text, shown_time, value_text
from bridge.cli.listing import print_rows, rows_before
from bridge.cli.names import twin_key
from bridge.cli.options import command, json_option, limit_option, name_option
from bridge.cli.spans import SECTION_STYLES, Span
from bridge.cli.terminal import print_note
from bridge.cli.text import printable
from bridge.core.limits import INTEGER_MAX
from bridge.core.topics import TwinKey

if TYPE_CHECKING:
    pass

_ROWS_PER_PAGE = 100


@command("conflicts")
@click.argument("device", required=False)
@limit_option
@click.option(
    "--before",
    type=click.IntRange(1, INTEGER_MAX),
    metavar="ID",
    help="Only entries before this one.",
)
@name_option
@json_option
@store_option
@pass_invocation
def conflicts(
    invocation: Invocation,
    device: str | None,
    limit: int,
    before: int | None,
    name: str,
    as_json: bool,
    store_path: str | None,
) -> None:
    """List the writes that lost against another one, the newest first.

    Two writers have written the same, and neither had seen what the other wrote. The policy of the
    path decided which one stands; the other is kept here. Without a DEVICE those of all twins are
    listed. How many are kept is configured.

    \b
    Examples:
      syncbridge conflicts
      syncbridge conflicts lamp-1 --limit 10
      syncbridge conflicts --json | jq -c 'select(.policy == "device")'

    Ends with status 5 if there is no such twin.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if device is None and name:
        raise click.UsageError("--name needs a DEVICE")
    key = None if device is None else twin_key(device, name)
    with administer(load_config(invocation, store_path)) as client:
        rows = rows_before(
            lambda below, size: client.conflicts(key, before=below, limit=size),
            "conflicts",
            before,
            limit,
            _ROWS_PER_PAGE,
        )
        shown = print_rows(rows, _spans, as_json=as_json)
    if not shown and not as_json:
        print_note(f"no conflict{f' of {key}' if key else ''} is kept")


def _spans(row: JsonRow, *, for_terminal: bool) -> Iterator[Span]:
    section = text(row, "section")
    path = row.get("path")
    keys = [str(key) for key in path] if isinstance(path, list) else []
    yield Span(shown_time(integer(row, "at"), for_terminal=for_terminal), "dim")
    yield Span(printable(str(TwinKey(text(row, "device"), text(row, "name")))), "bold cyan")
    yield Span(f"v{integer(row, 'version')}", "dim")
    yield Span(field_text((section, *keys)), SECTION_STYLES.get(section, ""))
    yield Span(printable(text(row, "policy")), "bold")
    yield Span(f"kept {value_text(row.get('kept'))}", "green")
    yield Span(f"by {printable(text(row, 'kept_by'))},", "dim")
    yield Span(f"lost {value_text(row.get('lost'))}", "red")
    yield Span(f"by {printable(text(row, 'lost_by'))}", "dim")
