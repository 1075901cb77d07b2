"""`syncbridge diff`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import as_object, integer
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import patch_spans, shown_time
from bridge.cli.names import twin_key
from bridge.cli.options import command, json_option, name_option
from bridge.cli.points import POINT
from bridge.cli.terminal import is_terminal, line_printer, print_note
from bridge.cli.text import compact_json
from bridge.core.section import JsonObject

if TYPE_CHECKING:
    from bridge.core.timeline import Point

_SECTIONS = ("reported", "desired")


@command("diff")
@click.argument("device")
@click.argument("one", metavar="V1", type=POINT)
@click.argument("other", metavar="V2", type=POINT)
@name_option
@json_option
@store_option
@pass_invocation
def diff(
    invocation: Invocation,
    device: str,
    one: Point,
    other: Point,
    name: str,
    as_json: bool,
    store_path: str | None,
) -> None:
    """Show how a twin differs at two versions.

    V1 and V2 are versions, or times such as 2026-11-25T10:00:00Z. A line for each section has what
    is different at V2, and in parentheses what was there at V1; null is nothing. At version 0, and
    while it was deleted, a twin is empty.

    \b
    Examples:
      syncbridge diff lamp-1 12 14
      syncbridge diff lamp-1 0 1
      syncbridge diff lamp-1 2026-11-25T10:00 2026-11-25T11:30 --json

    Ends with status 5 if there is no such twin, or one of both is not known (any more).
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    with administer(load_config(invocation, store_path)) as client:
        answer = client.diff(key, one, other)
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
        return
    print_note(f"{key}: from {_place(answer, 'from')} to {_place(answer, 'to')}")
    print_line = line_printer()
    for section in _SECTIONS:
        patches = as_object(answer, section)
        spans = list(
            patch_spans(section, as_object(patches, "patch"), as_object(patches, "previous"))
        )
        if spans:
            print_line(spans)


def _place(answer: Mapping[str, object], name: str) -> str:
    """Return what one side of the difference is."""
    place: JsonObject = as_object(answer, name)
    version = f"version {integer(place, 'version')}"
    if not place.get("exists"):
        return f"{version} (not there)"
    if place.get("at") is None:
        return version
    return f"{version} of {shown_time(integer(place, 'at'), for_terminal=is_terminal())}"
