"""`syncbridge get`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import document
from bridge.cli.given_keys import key_option
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import twin_key
from bridge.cli.options import as_option, command, json_option, name_option, timeout_option
from bridge.cli.paths import PathError, parse_path, value_at
from bridge.cli.points import POINT
from bridge.cli.request import Requester, connect
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import is_terminal, print_error, print_json
from bridge.cli.text import printable
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.device.events import Twin

if TYPE_CHECKING:
    from bridge.core.timeline import Point


@command("get")
@click.argument("device")
@click.argument("path", required=False)
@click.option(
    "--at", metavar="VERSION|TIME", type=POINT, help="As it was then; on the bridge's machine only."
)
@click.option(
    "--since",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Only what has changed since VERSION, as merge patches.",
)
@click.option("--meta", is_flag=True, help="Add a member meta: who wrote each field, when.")
@name_option
@json_option
@as_option
@key_option
@timeout_option
@store_option
@pass_invocation
def get(
    invocation: Invocation,
    device: str,
    path: str | None,
    at: Point | None,
    since: int | None,
    meta: bool,
    name: str,
    as_json: bool,
    as_name: str | None,
    key_file: Path | None,
    timeout_s: float,
    store_path: str | None,
) -> ExitStatus:
    """Print a twin as the bridge has it now, or one value of it.

    PATH leads to a value, from the top of what is printed without it. A text is printed as it is,
    with --json as JSON. A key with a dot in it is quoted, or the dot is escaped.

    With --at it is printed as it was at a version, or at a time such as 2026-11-25T10:00:00Z; a
    time without a zone is that of this machine. This reads the store, through the bridge that holds
    it or without one, so it works on the bridge's machine only.

    \b
    Examples:
      syncbridge get lamp-1
      syncbridge get lamp-1 reported.color.r
      syncbridge get plug-3 'reported."cct:0.1".on'
      syncbridge get lamp-1 --json | jq .version
      syncbridge get lamp-1 --at 12
      syncbridge get lamp-1 reported.on --at 2026-11-25T10:00
      syncbridge get lamp-1 --since 12 --json
      syncbridge get lamp-1 --meta
      syncbridge get lamp-1 --key app-1.key

    Ends with status 5 if there is no such twin or no such value, or if what it was is not known.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    keys = _parsed(path)
    if at is not None:
        if since is not None or meta or as_name is not None or key_file is not None:
            raise click.UsageError("--at goes with none of --since, --meta, --as and --key")
        with administer(load_config(invocation, store_path)) as client:
            found = past_document(client.state(key, at))
    else:
        if store_path is not None:
            raise click.UsageError("--store is for --at: without it, the bridge is asked by MQTT")
        with connect(invocation, as_name, timeout_s, key_file) as requester:
            found = _ask(requester, key, since, meta=meta)
    if keys is None:
        print_json(found, compact=as_json)
        return ExitStatus.OK
    try:
        value = value_at(found, keys)
    except KeyError as missing:
        if since is None:
            print_error(
                f"{key} has nothing at {missing.args[0]}", f"syncbridge get {device} shows all"
            )
        else:
            print_error(f"{key} has nothing new at {missing.args[0]} since version {since}")
        return ExitStatus.NOT_FOUND
    if isinstance(value, str) and not as_json:
        click.echo(printable(value) if is_terminal() else value)
    else:
        print_json(value, compact=as_json)
    return ExitStatus.OK


def _parsed(path: str | None) -> tuple[str, ...] | None:
    try:
        return None if path is None else parse_path(path)[0]
    except PathError as error:
        raise click.BadParameter(str(error), param_hint="PATH") from error


def _ask(requester: Requester, key: TwinKey, since: int | None, *, meta: bool) -> JsonObject:
    """Ask the bridge by MQTT for what was asked for here."""
    body: JsonObject = {}
    if since is not None:
        body["since"] = since
    if meta:
        body["meta"] = True
    answer = requester.ask(key, "get", body, {})
    shown = twin_document(key, answer.twin())
    shown["last_seen"] = answer.document.get("last_seen")
    if since is not None:
        shown["since"] = answer.since
    if meta:
        shown["meta"] = answer.document.get("meta")
    return shown


def past_document(answer: Mapping[str, object]) -> JsonObject:
    """Return a twin as it was, with the same members; presence is not in the history."""
    return {**document(answer), "online": None, "last_seen": None}


def twin_document(key: TwinKey, twin: Twin) -> JsonObject:
    """Return a twin as the commands print it: the same members always, in the same order."""
    return {
        "device": key.device,
        "name": key.name,
        "version": twin.version,
        "at": twin.at,
        "reported": twin.reported,
        "desired": twin.desired,
        "online": twin.online,
    }
