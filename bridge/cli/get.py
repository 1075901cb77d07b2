"""`syncbridge get`."""

from __future__ import annotations

import click

from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import twin_key
from bridge.cli.options import as_option, command, json_option, name_option, timeout_option
from bridge.cli.paths import PathError, parse_path, value_at
from bridge.cli.request import connect
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import is_terminal, print_error, print_json
from bridge.cli.text import printable
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.device.events import Twin


@command("get")
@click.argument("device")
@click.argument("path", required=False)
@name_option
@json_option
@as_option
@timeout_option
@pass_invocation
def get(
    invocation: Invocation,
    device: str,
    path: str | None,
    name: str,
    as_json: bool,
    as_name: str | None,
    timeout_s: float,
) -> ExitStatus:
    """Print a twin as the bridge has it now, or one value of it.

    PATH leads to a value, from the top of what is printed without it. A text is printed as it is,
    with --json as JSON. A key with a dot in it is quoted, or the dot is escaped.

    \b
    Examples:
      syncbridge get lamp-1
      syncbridge get lamp-1 reported.color.r
      syncbridge get plug-3 'reported."cct:0.1".on'
      syncbridge get lamp-1 --json | jq .version

    Ends with status 5 if there is no such twin or no such value.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    try:
        keys = None if path is None else parse_path(path)[0]
    except PathError as error:
        raise click.BadParameter(str(error), param_hint="PATH") from error
    with connect(invocation, as_name, timeout_s) as requester:
        answer = requester.ask(key, "get", {}, {})
    document = twin_document(key, answer.twin())
    if keys is None:
        print_json(document, compact=as_json)
        return ExitStatus.OK
    try:
        value = value_at(document, keys)
    except KeyError as missing:
        print_error(f"{key} has nothing at {missing.args[0]}", f"syncbridge get {device} shows all")
        return ExitStatus.NOT_FOUND
    if isinstance(value, str) and not as_json:
        click.echo(printable(value) if is_terminal() else value)
    else:
        print_json(value, compact=as_json)
    return ExitStatus.OK


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
