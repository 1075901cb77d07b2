"""`syncbridge schemas`: hold the twins that there are against a schema, and reload schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import as_object, document, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import Command, json_option
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import print_json, print_note
from bridge.cli.text import compact_json, printable
from bridge.core.pattern import DevicePattern, PatternError, parse_device_pattern
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import SECTIONS, SectionName

if TYPE_CHECKING:
    from bridge.api import AdminClient
    from bridge.schema.model import Breach

_ROWS_PER_PAGE = 200


@click.group("schemas")
def schemas() -> None:
    """Try a schema before it is switched on, and have those that are read again.

    The setting `schemas` says which sections have to fit which schema (docs/schemas.md).

    \b
    Examples:
      syncbridge schemas check lamp.json 'lamp-*'
      syncbridge schemas reload
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@schemas.command("check", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("device", default="*")
@click.option(
    "--section",
    type=click.Choice(SECTIONS),
    default="reported",
    help="Which section. Default: reported.",
)
@json_option
@store_option
@pass_invocation
def check(
    invocation: Invocation,
    file: Path,
    device: str,
    section: SectionName,
    as_json: bool,
    store_path: str | None,
) -> ExitStatus:
    """Hold the stored twins against the schema in FILE, and list what does not fit.

    DEVICE is a device pattern, as in the configuration; by default all twins are looked at. A
    running bridge is asked for them; where none runs, the store is opened. Nothing is changed.

    Ends with status 0 if all fit, with 4 if one does not, and with 2 if FILE holds no schema.

    \b
    Examples:
      syncbridge schemas check lamp.json
      syncbridge schemas check lamp.json 'lamp-*' --section desired
      syncbridge schemas check net.json '*/net' --json
    """  # noqa: D301
    from bridge.schema.reading import read_schema

    try:
        pattern = parse_device_pattern(device)
    except PatternError as error:
        raise click.BadParameter(str(error), param_hint="DEVICE") from error
    model = read_schema(file, section)
    looked_at = unfit = 0
    with administer(load_config(invocation, store_path)) as client:
        for key, value in _sections(client, pattern, section):
            breaches = model.breaches(value)
            looked_at += 1
            unfit += bool(breaches)
            for breach in breaches:
                row = _row(section, breach)
                if as_json:
                    click.echo(compact_json({"device": key.device, "name": key.name, **row}))
                else:
                    click.echo(printable("  ".join((str(key), *row.values()))))
    print_note(f"{unfit} of {looked_at} twins with {section} do not fit")
    return ExitStatus.REFUSED if unfit else ExitStatus.OK


@schemas.command("reload", cls=Command)
@json_option
@store_option
@pass_invocation
def reload(invocation: Invocation, as_json: bool, store_path: str | None) -> None:
    """Make the running bridge read the files of its schemas again.

    All of them come into force at once; where one cannot be read, or is no schema, nothing
    changes, and this ends with status 1 and says what is wrong. SIGHUP does the same.

    \b
    Examples:
      syncbridge schemas check lamp.json 'lamp-*'
      syncbridge schemas reload
    """  # noqa: D301
    with administer(load_config(invocation, store_path)) as client:
        answer = document(client.reload_schemas())
    if as_json:
        print_json(answer, compact=True)
    else:
        entries, files = integer(answer, "entries"), integer(answer, "files")
        click.echo(f"entries: {entries}; files: {files}; in force")


def _sections(
    client: AdminClient, pattern: DevicePattern, section: SectionName
) -> Iterator[tuple[TwinKey, JsonObject]]:
    """Yield what is in a section of each twin of a pattern, unless that is nothing."""
    after: TwinKey | None = None
    while True:
        page = rows_of(client.query(None, after=after, limit=_ROWS_PER_PAGE), "twins")
        for row in page:
            after = TwinKey(text(row, "device"), text(row, "name"))
            value = as_object(row, section)
            if value and pattern.matches(after):
                yield after, value
        if len(page) < _ROWS_PER_PAGE:
            return


def _row(section: SectionName, breach: Breach) -> dict[str, str]:
    return {"path": breach.path_in(section), "rule": breach.rule, "reason": breach.reason}
