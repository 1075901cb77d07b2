"""`syncbridge set`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bridge.cli.assignments import (
    SECTIONS,
    AssignmentError,
    Change,
    SectionName,
    parse_assignments,
    parse_patch,
)
from bridge.cli.given_keys import key_option
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import twin_key
from bridge.cli.options import as_option, command, json_option, name_option, timeout_option
from bridge.cli.request import connect
from bridge.cli.result import print_result
from bridge.core.section import JsonObject

_VERBS = {"desired": "desire", "reported": "report"}


@command("set")
@click.argument("device")
@click.argument("assignments", metavar="[PATH=VALUE]...", nargs=-1)
@click.option("--patch", metavar="JSON", help="A whole merge patch; - reads it from the input.")
@click.option(
    "--section",
    type=click.Choice(SECTIONS),
    default="desired",
    help="The section that --patch is for. Default: desired.",
)
@click.option(
    "--if",
    "if_version",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Only if the section has not changed since VERSION; else status 4.",
)
@click.option("--full", is_flag=True, help="Remove from the section what is not named.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the bridge's reply.")
@name_option
@json_option
@as_option
@key_option
@timeout_option
@pass_invocation
def set(  # noqa: A001 - the group finds a command by its name
    invocation: Invocation,
    device: str,
    assignments: tuple[str, ...],
    patch: str | None,
    section: SectionName,
    if_version: int | None,
    full: bool,
    no_wait: bool,
    name: str,
    as_json: bool,
    as_name: str | None,
    key_file: Path | None,
    timeout_s: float,
) -> None:
    """Change what is desired of a device, and wait until the bridge has it on disk.

    A PATH begins with `desired.`; keys are separated by dots, and a key with a dot in it is quoted
    or the dot escaped. A VALUE is JSON where it is JSON, and else a text: `21.5`, `true` and `null`
    are what they look like, `night` is a text, and so is `"true"` in double quotes. null removes.

    \b
    Examples:
      syncbridge set lamp-1 desired.on=true desired.color.r=255
      syncbridge set lamp-1 desired.scene=night desired.timer=null
      syncbridge set plug-3 'desired."cct:0.1".label="true"'
      syncbridge set lamp-1 --patch '{"color": {"r": 255, "g": null}}'
      syncbridge set lamp-1 --if 14 desired.on=false
      syncbridge set lamp-1 --key app-1.key desired.on=true
      echo '{"on": true}' | syncbridge set lamp-1 --full --patch -

    For tests only: a path that begins with `reported.` is published as the device itself would
    publish it, and the bridge cannot tell the difference. The device may know better.

    With --no-wait the command ends when the broker has the change. Whether the bridge accepts it
    stays unknown; if it is away, it is asked when it is back.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    if as_json and no_wait:
        raise click.UsageError("--json prints the reply, and --no-wait does not wait for it")
    change = _change(assignments, patch, section)
    metadata: JsonObject = {}
    if if_version is not None:
        metadata["if"] = if_version
    if full:
        metadata["full"] = True
    with connect(invocation, as_name, timeout_s, key_file) as requester:
        if no_wait:
            requester.send(key, _VERBS[change.section], change.patch, metadata)
            return
        answer = requester.ask(key, _VERBS[change.section], change.patch, metadata)
    print_result(key, answer.reply, as_json=as_json)


def _change(assignments: tuple[str, ...], patch: str | None, section: SectionName) -> Change:
    """Return what is to be changed.

    Raises:
        click.UsageError: It was not said, said twice, or said wrongly.
    """
    if bool(assignments) == (patch is not None):
        raise click.UsageError("give either PATH=VALUE, once or more, or --patch")
    try:
        if patch is None:
            return parse_assignments(assignments)
        return parse_patch(sys.stdin.read() if patch == "-" else patch, section)
    except AssignmentError as error:
        raise click.UsageError(str(error)) from error
