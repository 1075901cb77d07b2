"""`device-sim kinds`: what can be simulated."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import click

from bridge.device import JsonObject
from device_sim.commands.options import json_option
from device_sim.kinds import KINDS, Kind, built_in_text, read_kinds


@click.command(short_help="List the kinds of device.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--yaml", "name", metavar="KIND", help="Print the declaration of a kind.")
@json_option
def kinds(file: Path | None, name: str | None, as_json: bool) -> None:
    """List the kinds of device, with what they report and what they obey; or those of a FILE.

    \b
    Only lamps and locks:
      device-sim run --kinds lamp,door-lock
    \b
    A kind of one's own: begin with another one, change it, look at it, run it:
      device-sim kinds --yaml lamp > my.yaml
      device-sim kinds my.yaml
      device-sim run --kinds my.yaml
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if name is not None:
        _print_declaration(name)
        return
    shown = KINDS if file is None else read_kinds(file)
    if as_json:
        click.echo(json.dumps([_document(kind) for kind in shown.values()]))
        return
    width = max(map(len, shown)) + 2
    for kind in shown.values():
        reports = ", ".join(".".join(each.path) for each in kind.fields)
        obeys = ", ".join(".".join(path) for path in kind.settings)
        click.echo(f"{click.style(kind.name.ljust(width), bold=True)}{kind.about}")
        for title, paths in (("reports", reports), ("obeys", obeys)):
            click.echo(f"{' ' * width}{title}: {paths}")


def _print_declaration(name: str) -> None:
    try:
        text = built_in_text(name)
    except KeyError:
        raise click.UsageError(f"{name!r} is not one of {', '.join(KINDS)}") from None
    click.echo(text, nl=False)


def _document(kind: Kind) -> JsonObject:
    return {
        "kind": kind.name,
        "about": kind.about,
        "every_s": kind.interval_s,
        "sleep_after_s": kind.sleep_after_s,
        "fields": [
            {
                "path": ".".join(each.path),
                "unit": each.unit,
                "obeys": each.obeys is not None,
                "example": each.drift.start(Random(0)),
            }
            for each in kind.fields
        ],
    }
