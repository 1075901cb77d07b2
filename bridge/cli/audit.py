"""`syncbridge audit`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, as_object, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time, value_text
from bridge.cli.options import command, json_option, limit_option
from bridge.cli.points import TIME
from bridge.cli.spans import Span
from bridge.cli.terminal import is_terminal, line_printer, print_note
from bridge.cli.text import compact_json, printable
from bridge.core.limits import INTEGER_MAX

if TYPE_CHECKING:
    from bridge.api import AdminClient
    from bridge.store.audit import AuditFilter

_ROWS_PER_PAGE = 200

_STYLES = {"done": "green", "unchanged": "dim"}


@command("audit")
@click.option(
    "--act", metavar="NAME", help="Only this act, such as token.create; `token.` is all of a kind."
)
@click.option("--who", metavar="NAME", help="Only what NAME did.")
@click.option("--on", "target", metavar="TARGET", help="Only what was done to TARGET.")
@click.option("--since", type=TIME, metavar="TIME", help="Only what was done since then.")
@click.option("--until", type=TIME, metavar="TIME", help="Only what was done before that.")
@click.option(
    "--before", type=click.IntRange(1, INTEGER_MAX), metavar="ID", help="Only acts before this one."
)
@limit_option
@json_option
@store_option
@pass_invocation
def audit(
    invocation: Invocation,
    act: str | None,
    who: str | None,
    target: str | None,
    since: int | None,
    until: int | None,
    before: int | None,
    limit: int,
    as_json: bool,
    store_path: str | None,
) -> None:
    """List acts of administration, the newest first: who did what, to what, and what came of it.

    They are written down with the act itself, or before it takes effect. What changed in a twin is
    in its history; here are tokens, rollbacks, deletions, forgotten writers, sweeps, what was
    cleared from the quarantine, restores, imports, and permissions that were loaded. How many are
    kept is configured.

    \b
    Examples:
      syncbridge audit
      syncbridge audit --act token. --since 2026-11-25T00:00:00Z
      syncbridge audit --json | jq -c 'select(.via == "http")'
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    from bridge.store.audit import AuditFilter

    wanted = AuditFilter(act, who, target, since, until)
    print_line = line_printer()
    for_terminal = is_terminal()
    shown = 0
    with administer(load_config(invocation, store_path)) as client:
        for row in _rows(client, wanted, before, limit):
            shown += 1
            if as_json:
                click.echo(compact_json(row))
            else:
                print_line(list(_spans(row, for_terminal=for_terminal)))
    if not shown and not as_json:
        print_note("no such act is in the audit trail")


def _rows(
    client: AdminClient, wanted: AuditFilter, before: int | None, limit: int
) -> Iterator[JsonRow]:
    while limit > 0:
        answer = client.audit(wanted, before=before, limit=min(limit, _ROWS_PER_PAGE))
        page = rows_of(answer, "audit")
        yield from page
        if not page:
            return
        limit -= len(page)
        before = integer(page[-1], "id")


def _spans(row: JsonRow, *, for_terminal: bool) -> Iterator[Span]:
    outcome = text(row, "outcome")
    yield Span(shown_time(integer(row, "at"), for_terminal=for_terminal), "dim")
    who = text(row, "who")
    yield Span(printable(f"{who or '-'} ({text(row, 'via')})"), "cyan")
    yield Span(printable(text(row, "act")), "bold")
    if text(row, "target"):
        yield Span(printable(text(row, "target")), "bold cyan")
    yield Span(printable(outcome), _STYLES.get(outcome, "red"))
    details = as_object(row, "details")
    if details:
        yield Span(value_text(details), "dim")
