"""`syncbridge audit`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, as_object, integer, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time, value_text
from bridge.cli.listing import print_rows, rows_before
from bridge.cli.options import command, json_option, limit_option
from bridge.cli.points import TIME
from bridge.cli.spans import Span
from bridge.cli.terminal import print_note
from bridge.cli.text import printable
from bridge.core.limits import INTEGER_MAX

if TYPE_CHECKING:
    pass

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
    with administer(load_config(invocation, store_path)) as client:
        rows = rows_before(
            lambda below, size: client.audit(wanted, before=below, limit=size),
            "audit",
            before,
            limit,
            _ROWS_PER_PAGE,
        )
        shown = print_rows(rows, _spans, as_json=as_json)
    if not shown and not as_json:
        print_note("no such act is in the audit trail")


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
