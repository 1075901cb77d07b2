"""`syncbridge writers`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.assignments import SECTIONS
from bridge.cli.documents import JsonRow, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import check_name, twin_key
from bridge.cli.options import command, json_option, name_option
from bridge.cli.terminal import print_note, print_table
from bridge.cli.text import age_text, compact_json, printable
from bridge.core.section import JsonValue

if TYPE_CHECKING:
    from bridge.core.update import SectionName

_MICROSECONDS_PER_SECOND = 1_000_000
_HEADER = ("WRITER", "SECTION", "BOOT", "SEQ", "LAST", "MISSING")

_GAPS_SHOWN = 5
"""Ranges of missing numbers in a line; `--json` has all of them."""

_BOOT_CHARACTERS = 24
"""Characters of a boot in a line; a random one of the device library has 16."""


@command("writers")
@click.argument("device")
@click.option("--forget", metavar="WRITER", help="Forget what is remembered of WRITER.")
@click.option(
    "--section",
    type=click.Choice(SECTIONS),
    help="With --forget: only what it wrote to this section. Default: both.",
)
@name_option
@json_option
@store_option
@pass_invocation
def writers(
    invocation: Invocation,
    device: str,
    forget: str | None,
    section: SectionName | None,
    name: str,
    as_json: bool,
    store_path: str | None,
) -> None:
    """List who numbers their messages to a twin, and what is missing of them.

    A writer that sends `boot` and `seq` is remembered, so that a message that comes twice counts
    once. A line for each boot has the highest number that has come, how old its stamp is, and which
    numbers below have not come; the newest boot comes first.

    With --forget a writer begins anew: what it sends next is no repeat, whatever its number. That
    helps a device that was reset and sends the same boot and the same numbers again. What it has
    written stays.

    \b
    Examples:
      syncbridge writers lamp-1
      syncbridge writers lamp-1 --forget lamp-1
      syncbridge writers lamp-1 --json | jq '.writers[].boots[0].missing'

    Ends with status 5 if there is no such twin, or no such writer is remembered.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    if section and forget is None:
        raise click.UsageError("--section is for --forget")
    if forget is not None:
        check_name(forget, "--forget")
    with administer(load_config(invocation, store_path)) as client:
        if forget is not None:
            answer = client.forget_writer(key, forget, section)
        else:
            answer = client.writers(key)
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
    elif forget is not None:
        click.echo(f"{key} has forgotten {forget}{f' in {section}' if section else ''}")
    else:
        now_us = int(time.time() * _MICROSECONDS_PER_SECOND)
        lines = [cells for row in rows_of(answer, "writers") for cells in _cells(row, now_us)]
        if lines:
            print_table(_HEADER, lines)
        else:
            print_note(f"no writer of {key} numbers its messages")


def _cells(row: JsonRow, now_us: int) -> Iterator[list[tuple[str, str]]]:
    """Yield a line for each boot of a writer."""
    for boot in rows_of(row, "boots"):
        age_s = (now_us - integer(boot, "stamp")) / _MICROSECONDS_PER_SECOND
        missing = _missing(boot.get("missing"))
        yield [
            (printable(text(row, "writer")), "bold cyan"),
            (printable(text(row, "section")), ""),
            (_cut(compact_json(boot.get("boot"))), ""),
            (str(integer(boot, "seq")), ""),
            (age_text(age_s), "dim"),
            (missing, "yellow") if missing else ("-", "dim"),
        ]


def _missing(ranges: JsonValue) -> str:
    """Return missing numbers as `3, 7-9`."""
    if not isinstance(ranges, list):
        return ""
    texts = [
        str(each[0]) if each[0] == each[1] else f"{each[0]}-{each[1]}"
        for each in ranges
        if isinstance(each, list) and len(each) == 2
    ]
    shown = ", ".join(texts[:_GAPS_SHOWN])
    return f"{shown}, …" if len(texts) > _GAPS_SHOWN else shown


def _cut(boot: str) -> str:
    return boot if len(boot) <= _BOOT_CHARACTERS else f"{boot[:_BOOT_CHARACTERS]}…"
