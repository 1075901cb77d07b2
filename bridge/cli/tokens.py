"""`syncbridge tokens`: make, list and revoke tokens of the HTTP API."""

from __future__ import annotations

import time

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time
from bridge.cli.names import check_name
from bridge.cli.options import Command, json_option
from bridge.cli.terminal import is_terminal, print_note, print_table
from bridge.cli.text import compact_json, printable

_MICROSECONDS_PER_DAY = 86_400 * 1_000_000
_HEADER = ("ID", "PRINCIPAL", "CREATED", "EXPIRES")
_DAYS_MAX = 36_500


@click.group("tokens")
def tokens() -> None:
    """Make, list and revoke tokens of the HTTP API.

    A token belongs to a principal, and may do what the permissions let that principal do
    (docs/http.md). Only its hash is kept: its text is shown once, when it is made.

    \b
    Examples:
      syncbridge tokens create anna --days 90
      syncbridge tokens list
      syncbridge tokens revoke 4f1c2a9be077
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@tokens.command("create", cls=Command)
@click.argument("principal")
@click.option(
    "--days",
    type=click.IntRange(1, _DAYS_MAX),
    default=365,
    show_default=True,
    help="How long it is valid.",
)
@json_option
@store_option
@pass_invocation
def create(
    invocation: Invocation, principal: str, days: int, as_json: bool, store_path: str | None
) -> None:
    """Make a token for PRINCIPAL, and print it.

    It stands alone on the standard output, so that it can be kept in a file or a variable.
    """
    check_name(principal, "PRINCIPAL")
    expires_at = time.time_ns() // 1000 + days * _MICROSECONDS_PER_DAY
    with administer(load_config(invocation, store_path)) as client:
        answer = client.create_token(principal, expires_at)
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
        return
    click.echo(str(answer["token"]))
    until = shown_time(expires_at, for_terminal=is_terminal())
    print_note(f"token {answer['id']} of {principal}, valid until {until}; it is not shown again")


@tokens.command("list", cls=Command)
@json_option
@store_option
@pass_invocation
def list_all(invocation: Invocation, as_json: bool, store_path: str | None) -> None:
    """List the tokens, the newest first; not their texts, which nobody knows any more."""
    with administer(load_config(invocation, store_path)) as client:
        answer = client.tokens()
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
        return
    rows = rows_of(answer, "tokens")
    if rows:
        print_table(_HEADER, [_cells(row) for row in rows])
    else:
        print_note("there are no tokens")


@tokens.command("revoke", cls=Command)
@click.argument("token_id", metavar="ID")
@store_option
@pass_invocation
def revoke(invocation: Invocation, token_id: str, store_path: str | None) -> None:
    """Revoke the token ID; a running bridge refuses it within a second.

    Ends with status 5 if there is no such token.
    """
    if not token_id.isalnum():
        raise click.UsageError(f"{token_id!r} cannot be a token's id")
    with administer(load_config(invocation, store_path)) as client:
        client.revoke_token(token_id)
    print_note(f"token {token_id} is revoked")


def _cells(row: JsonRow) -> list[tuple[str, str]]:
    for_terminal = is_terminal()
    expires_at = row.get("expires_at")
    expires = "never"
    style = "dim"
    if isinstance(expires_at, int):
        expires = shown_time(expires_at, for_terminal=for_terminal)
        if expires_at * 1000 <= time.time_ns():
            expires, style = f"{expires} (expired)", "red"
    return [
        (printable(text(row, "id")), "bold"),
        (printable(text(row, "principal")), "bold cyan"),
        (shown_time(integer(row, "created_at"), for_terminal=for_terminal), "dim"),
        (expires, style),
    ]
