"""`syncbridge delete`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bridge.cli.given_keys import key_option
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import twin_key
from bridge.cli.options import as_option, command, json_option, name_option, timeout_option
from bridge.cli.request import connect
from bridge.cli.result import print_result
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import print_error


@command("delete")
@click.argument("device")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
@name_option
@json_option
@as_option
@key_option
@timeout_option
@pass_invocation
def delete(
    invocation: Invocation,
    device: str,
    yes: bool,
    name: str,
    as_json: bool,
    as_name: str | None,
    key_file: Path | None,
    timeout_s: float,
) -> ExitStatus:
    """Delete a twin: both sections, and what is retained of it at the broker.

    The version lives on: a device that reports again makes the twin anew, one version higher.
    With --name only the twin of that name is deleted, without it only the unnamed one.

    \b
    Examples:
      syncbridge delete lamp-1
      syncbridge delete lamp-1 --name firmware --yes

    Ends with status 1 if the question is answered with no, and 5 if there is no such twin.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    key = twin_key(device, name)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: give --yes to delete")
        if not click.confirm(f"Delete the twin {key}?", err=True):
            print_error("nothing was deleted")
            return ExitStatus.FAILURE
    with connect(invocation, as_name, timeout_s, key_file) as requester:
        answer = requester.ask(key, "delete", {}, {})
    print_result(key, answer.reply, as_json=as_json, what="deleted at version")
    return ExitStatus.OK
