"""`device-sim kinds`: what can be simulated."""

from __future__ import annotations

import json
from random import Random

import click

from bridge.device import JsonObject
from device_sim.commands.options import json_option
from device_sim.kinds import KINDS, Kind


@click.command(short_help="List what can be simulated.")
@json_option
def kinds(as_json: bool) -> None:
    """List the kinds of device, with what they report and what they obey.

    \b
    Only lamps and locks:
      device-sim run --kinds lamp,door-lock
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if as_json:
        click.echo(json.dumps([_document(kind) for kind in KINDS.values()]))
        return
    width = max(map(len, KINDS)) + 2
    for kind in KINDS.values():
        reports = ", ".join(".".join(each.path) for each in kind.fields)
        obeys = ", ".join(".".join(path) for path in kind.settings)
        click.echo(f"{click.style(kind.name.ljust(width), bold=True)}{kind.about}")
        for name, paths in (("reports", reports), ("obeys", obeys)):
            click.echo(f"{' ' * width}{name}: {paths}")


def _document(kind: Kind) -> JsonObject:
    return {
        "kind": kind.name,
        "about": kind.about,
        "fields": [
            {
                "path": ".".join(each.path),
                "obeys": each.obeys is not None,
                "example": each.drift.start(Random(0)),
            }
            for each in kind.fields
        ],
    }
