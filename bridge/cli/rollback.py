"""`syncbridge rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.assignments import SECTIONS
from bridge.cli.documents import as_object, integer
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import patch_spans
from bridge.cli.names import requester_name, twin_key
from bridge.cli.options import command, json_option, name_option
from bridge.cli.points import POINT
from bridge.cli.terminal import print_error, print_note
from bridge.cli.text import compact_json

if TYPE_CHECKING:
    from bridge.core.timeline import Point
    from bridge.core.update import SectionName


@command("rollback")
@click.argument("device")
@click.option("--to", metavar="VERSION|TIME", type=POINT, required=True, help="What to go back to.")
@click.option(
    "--section",
    type=click.Choice(SECTIONS),
    default="desired",
    help="The section to roll back. Default: desired.",
)
@name_option
@json_option
@click.option(
    "--as",
    "as_name",
    metavar="NAME",
    help="Write under this name. Default: the broker's user name, or cli- and yours.",
)
@store_option
@pass_invocation
def rollback(
    invocation: Invocation,
    device: str,
    to: Point,
    section: SectionName,
    name: str,
    as_json: bool,
    as_name: str | None,
    store_path: str | None,
) -> None:
    """Bring what is desired of a device back to what it was.

    It is an update like any other, and makes a new version: the past stays as it was. It leads from
    the present section to that of then, and the device gets the delta. If somebody changes the
    section at the same moment it is refused with status 4, and can be tried again.

    Where no bridge runs, the store is changed, and the bridge publishes it when it starts.

    \b
    Examples:
      syncbridge rollback lamp-1 --to 12
      syncbridge rollback lamp-1 --to 2026-11-25T10:00:00Z
      syncbridge rollback lamp-1 --to 12 --section reported

    For reported there is rarely a reason: it is what the device says, and it says it again.

    Ends with status 5 if there is no such twin, it did not exist then, or that is not known any
    more; `syncbridge history` shows how far back it goes.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    config = load_config(invocation, store_path)
    writer = requester_name(as_name, config.broker.username)
    with administer(config) as client:
        answer = client.rollback(key, to, section, writer)
        is_offline = client.is_offline
    remaining = as_object(answer, "remaining")
    if as_json:
        click.echo(compact_json({**answer}))  # type: ignore[dict-item]
    else:
        remark = "" if answer.get("changed") else " (unchanged)"
        click.echo(f"{key} version {integer(answer, 'version')}{remark}")
    if is_offline and answer.get("changed"):
        print_note("no bridge is running here: it is published when one starts")
    if remaining:
        fields = " ".join(span.text for span in patch_spans(section, remaining, {}))
        print_error(f"{section} is still not what it was: policies did not let back {fields}")
