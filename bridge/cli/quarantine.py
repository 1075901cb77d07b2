"""`syncbridge quarantine`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, document, integer, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time, value_text
from bridge.cli.listing import print_rows, rows_before
from bridge.cli.names import twin_key
from bridge.cli.options import command, json_option, limit_option
from bridge.cli.points import TIME
from bridge.cli.spans import Span
from bridge.cli.terminal import is_terminal, print_note
from bridge.cli.text import compact_json, printable
from bridge.core.limits import INTEGER_MAX

if TYPE_CHECKING:
    from bridge.api import AdminClient
    from bridge.store.quarantined import QuarantineFilter

_ROWS_PER_PAGE = 100

_SHOWN = ("at", "device", "writer", "topic", "code", "error", "message", "size_bytes")

_WITHHELD = {
    "sealed": "nothing is kept of a sealed payload",
    "secret": "nothing is kept: this device has to seal, and did not",
}


@command("quarantine")
@click.argument("message_id", metavar="[ID]", required=False, type=click.IntRange(1, INTEGER_MAX))
@click.option("--device", metavar="DEVICE", help="Only what concerns DEVICE.")
@click.option("--reason", metavar="NAME", help="Only what was refused for this, such as forbidden.")
@click.option("--since", type=TIME, metavar="TIME", help="Only what was refused since then.")
@click.option("--until", type=TIME, metavar="TIME", help="Only what was refused before that.")
@click.option(
    "--before",
    type=click.IntRange(1, INTEGER_MAX),
    metavar="ID",
    help="Only messages before this one.",
)
@click.option("--clear", is_flag=True, help="Delete them, instead of listing them.")
@click.option("--all", "everything", is_flag=True, help="With --clear: all that there are.")
@click.option("--dry-run", is_flag=True, help="With --clear: only count them.")
@limit_option
@json_option
@store_option
@pass_invocation
def quarantine(
    invocation: Invocation,
    message_id: int | None,
    device: str | None,
    reason: str | None,
    since: int | None,
    until: int | None,
    before: int | None,
    clear: bool,
    everything: bool,
    dry_run: bool,
    limit: int,
    as_json: bool,
    store_path: str | None,
) -> None:
    """List the messages that were refused and could not be answered, the newest first.

    Each is kept with the time, the topic, who sent it, the reason, its size, and the beginning of
    its payload; how much of that, and how many messages, is configured. Nothing is kept of sealed
    payloads. With an ID one message is shown, with all that is kept of it.

    With --clear those that the filters name are deleted, or with --all every one.

    \b
    Examples:
      syncbridge quarantine
      syncbridge quarantine --device lamp-1 --reason forbidden
      syncbridge quarantine 17
      syncbridge quarantine --until 2026-11-01T00:00:00Z --clear --dry-run
      syncbridge quarantine --device lamp-1 --clear

    Ends with status 5 if there is no message ID.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    from bridge.store.quarantined import EVERYTHING, QuarantineFilter

    if device is not None:
        twin_key(device, "")
    wanted = QuarantineFilter(device, reason, since, until)
    _check_options(
        clear=clear,
        everything=everything,
        dry_run=dry_run,
        is_filtered=wanted != EVERYTHING,
        is_one=message_id is not None,
    )
    with administer(load_config(invocation, store_path)) as client:
        if clear:
            _clear(client, wanted, dry_run=dry_run, as_json=as_json)
        elif message_id is not None:
            _show(client, message_id, as_json=as_json)
        else:
            _list(client, wanted, before, limit, as_json=as_json)


def _check_options(
    *, clear: bool, everything: bool, dry_run: bool, is_filtered: bool, is_one: bool
) -> None:
    if (everything or dry_run) and not clear:
        raise click.UsageError("--all and --dry-run are for --clear")
    if is_one and (clear or is_filtered):
        raise click.UsageError("an ID stands alone: filters and --clear are for lists")
    if clear and everything == is_filtered:
        raise click.UsageError("--clear needs a filter such as --device, or --all")


def _clear(client: AdminClient, wanted: QuarantineFilter, *, dry_run: bool, as_json: bool) -> None:
    found, cleared = 0, 0
    while True:
        answer = document(client.clear_quarantine(wanted, dry_run=dry_run))
        # What comes in meanwhile counts too, but does not keep this going for ever.
        found = found or integer(answer, "found")
        cleared += integer(answer, "cleared")
        if not integer(answer, "cleared") or cleared >= found:
            break
    if as_json:
        click.echo(compact_json({"found": found, "cleared": cleared}))
    else:
        click.echo(f"{found} found, {cleared} cleared")


def _show(client: AdminClient, message_id: int, *, as_json: bool) -> None:
    row = document(client.quarantined(message_id))
    if as_json:
        click.echo(compact_json(row))
        return
    for name in _SHOWN:
        value = row.get(name)
        shown = (
            shown_time(integer(row, "at"), for_terminal=is_terminal()) if name == "at" else value
        )
        click.echo(f"{name}: {printable(str(shown))}")
    click.echo(f"payload: {_payload(row)}")


def _list(
    client: AdminClient,
    wanted: QuarantineFilter,
    before: int | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    rows = rows_before(
        lambda below, size: client.quarantine(wanted, before=below, limit=size),
        "quarantine",
        before,
        limit,
        _ROWS_PER_PAGE,
    )
    shown = print_rows(rows, _spans, as_json=as_json)
    if not shown and not as_json:
        print_note("no such message is in the quarantine")


def _spans(row: JsonRow, *, for_terminal: bool) -> Iterator[Span]:
    yield Span(shown_time(integer(row, "at"), for_terminal=for_terminal), "dim")
    yield Span(str(integer(row, "id")), "bold")
    yield Span(printable(text(row, "topic")), "cyan")
    yield Span(f"{integer(row, 'code')} {printable(text(row, 'error'))}", "bold red")
    yield Span(f"{integer(row, 'size_bytes')} bytes", "dim")
    if isinstance(row.get("payload"), str):
        yield Span(value_text(row["payload"]))


def _payload(row: JsonRow) -> str:
    """Return what is kept of a payload: text as it is, other bytes in hexadecimal digits."""
    withheld = row.get("withheld")
    if isinstance(withheld, str):
        return f"({_WITHHELD.get(withheld, printable(withheld))})"
    encoded = row.get("payload_base64")
    if isinstance(encoded, str):
        kept = base64.b64decode(encoded)
        shown = kept.hex(" ")
    else:
        shown = printable(text(row, "payload"))
        kept = text(row, "payload").encode()
    size_bytes = integer(row, "size_bytes")
    return shown if len(kept) >= size_bytes else f"{shown}… (of {size_bytes} bytes)"
