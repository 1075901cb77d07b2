"""`syncbridge dictionary`: train and list dictionaries of zstd."""

from __future__ import annotations

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, integer, rows_of
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time
from bridge.cli.options import Command, json_option
from bridge.cli.terminal import is_terminal, print_note, print_table
from bridge.cli.text import compact_json

_HEADER = ("ID", "TRAINED", "SAMPLES", "BYTES", "")
_SIZE_BYTES = 8 * 1024
_SIZE_BYTES_MIN = 256
_SIZE_BYTES_MAX = 64 * 1024


@click.group("dictionary")
def dictionary() -> None:
    """Train and list dictionaries for compressed payloads.

    A dictionary holds what the twins of a fleet have in common. With it zstd makes also small
    payloads much smaller (docs/protocol.md). Whoever may read the broker's topics may read it.

    \b
    Examples:
      syncbridge dictionary train
      syncbridge dictionary list
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@dictionary.command("train", cls=Command)
@click.option(
    "--size-bytes",
    type=click.IntRange(_SIZE_BYTES_MIN, _SIZE_BYTES_MAX),
    default=_SIZE_BYTES,
    show_default=True,
    help="How large it may be: devices have to hold it.",
)
@json_option
@store_option
@pass_invocation
def train(invocation: Invocation, size_bytes: int, as_json: bool, store_path: str | None) -> None:
    """Train a dictionary from the stored twins, and make it the current one.

    A running bridge announces it at once. Those before it are still opened with; the oldest of
    more than eight is forgotten.
    """
    with administer(load_config(invocation, store_path)) as client:
        answer = client.train_dictionary(size_bytes)
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
        return
    print_note(
        f"dictionary {answer['id']} of {answer['size_bytes']} bytes, from {answer['samples']} "
        "samples, is the current one"
    )
    forgotten = answer.get("forgotten")
    if isinstance(forgotten, list) and forgotten:
        print_note(f"forgotten: {', '.join(map(str, forgotten))}")


@dictionary.command("list", cls=Command)
@json_option
@store_option
@pass_invocation
def list_all(invocation: Invocation, as_json: bool, store_path: str | None) -> None:
    """List the dictionaries, the current one first."""
    with administer(load_config(invocation, store_path)) as client:
        answer = client.dictionaries()
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
        return
    rows = rows_of(answer, "dictionaries")
    if rows:
        print_table(_HEADER, [_cells(row, index == 0) for index, row in enumerate(rows)])
    else:
        print_note("there are no dictionaries")


def _cells(row: JsonRow, is_current: bool) -> list[tuple[str, str]]:
    return [
        (str(integer(row, "id")), "bold"),
        (shown_time(integer(row, "created_at"), for_terminal=is_terminal()), "dim"),
        (str(integer(row, "samples")), ""),
        (str(integer(row, "size_bytes")), ""),
        ("current" if is_current else "", "green"),
    ]
