"""`syncbridge permissions`: check the file, and say who may do what, and why."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import document, integer, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import twin_key
from bridge.cli.options import Command, json_option, name_option
from bridge.cli.paths import PathError, parse_path, path_text
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import print_error, print_json
from bridge.cli.text import printable
from bridge.core.section import JsonObject, Path
from bridge.core.topics import is_device_id
from bridge.core.update import SECTIONS, SectionName
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.core.access import Decision
    from bridge.core.permissions import Permissions

file_option = click.option(
    "--file",
    "file",
    metavar="FILE",
    help="The permissions. Default: what permissions.file says.",
)

_OTHERWISE = {
    "own": "a device may report, and read its own twins",
    "development": "the default is development, and no rule denies it",
    "deny": "no rule allows it",
}


@click.group("permissions")
def permissions() -> None:
    """Check the permissions, and explain them.

    They say who may read and write what (docs/permissions.md).

    \b
    Examples:
      syncbridge permissions check
      syncbridge permissions check --file new-permissions.yaml
      syncbridge permissions explain anna lamp-1 desired.on --write
      syncbridge permissions reload
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@permissions.command("check", cls=Command)
@file_option
@json_option
@pass_invocation
def check(invocation: Invocation, file: str | None, as_json: bool) -> ExitStatus:
    """Read the permissions, and say what is wrong with them.

    Ends with status 2 at the first thing that is not allowed, with its line.
    """
    path, found = load_permissions(invocation, file)
    counts = {
        "principals": len(found.principals),
        "groups": len(found.groups),
        "rules": len(found.rules),
    }
    if as_json:
        print_json({"file": str(path), "default": found.default, **counts}, compact=True)
    else:
        shown = ", ".join(f"{what}: {count}" for what, count in counts.items())
        click.echo(printable(f"{path}: {shown}; default: {found.default}"))
    return ExitStatus.OK


@permissions.command("explain", cls=Command)
@click.argument("principal")
@click.argument("device")
@click.argument("path")
@click.option(
    "--section",
    type=click.Choice(SECTIONS),
    help="The section; PATH is then written without it.",
)
@click.option("--write", is_flag=True, help="May it be written? Default: may it be read?")
@name_option
@file_option
@json_option
@pass_invocation
def explain(
    invocation: Invocation,
    principal: str,
    device: str,
    path: str,
    section: str | None,
    write: bool,
    name: str,
    file: str | None,
    as_json: bool,
) -> ExitStatus:
    """Say whether PRINCIPAL may read or write PATH of DEVICE, and by which rule.

    Ends with status 0 if it may, and with 4 if not.

    \b
    Examples:
      syncbridge permissions explain anna lamp-1 desired.on
      syncbridge permissions explain anna lamp-1 desired.on --write
      syncbridge permissions explain plug plug on --section reported
    """  # noqa: D301
    if not is_device_id(principal):
        raise click.UsageError(f"{principal!r} can be no name in a topic")
    key = twin_key(device, name)
    which, keys = _section_and_path(path, section)
    file_path, found = load_permissions(invocation, file)
    decision = found.explain(principal, key, which, keys, "write" if write else "read")
    if as_json:
        print_json(_document(decision, file_path), compact=True)
    else:
        verb = "write" if write else "read"
        may = "may" if decision.allowed else "may not"
        what = printable(f"{path_text((which, *keys))} of {key}")
        click.echo(f"{principal} {may} {verb} {what}: {_reason(decision, file_path)}")
        if principal not in found.principals and principal != device:
            print_error(
                f"{principal} is not declared in {printable(str(file_path))}",
                _nearest(principal, found) or "only the rules for everyone are for it",
            )
    return ExitStatus.OK if decision.allowed else ExitStatus.REFUSED


@permissions.command("reload", cls=Command)
@json_option
@store_option
@pass_invocation
def reload(invocation: Invocation, as_json: bool, store_path: str | None) -> ExitStatus:
    """Make the running bridge read its permissions again.

    It reads the file that its own configuration names. All of it comes into force at once, for
    messages, tokens and open streams; where something in it is not allowed, nothing changes, and
    this ends with status 1 and says what is wrong. SIGHUP does the same.

    \b
    Examples:
      syncbridge permissions check
      syncbridge permissions reload
    """  # noqa: D301
    with administer(load_config(invocation, store_path)) as client:
        answer = document(client.reload_permissions())
    if as_json:
        print_json(answer, compact=True)
    else:
        remark = "" if answer.get("changed") else " (unchanged)"
        rules, default = integer(answer, "rules"), text(answer, "default")
        in_force = f"{text(answer, 'file')}: rules: {rules}; default: {default}; in force{remark}"
        click.echo(printable(in_force))
    return ExitStatus.OK


def load_permissions(invocation: Invocation, file: str | None) -> tuple[FilePath, Permissions]:
    """Read the permissions that were named, or that are configured.

    Raises:
        ConfigError: There are none, or something in them is not allowed.
    """
    from bridge.config import read_permissions

    given = {} if file is None else {"permissions.file": file}
    config = invocation.load(given).config
    path = config.permissions.file
    if path is None:
        raise ConfigError(
            "no permissions are configured: whoever may publish may do everything",
            field="permissions.file",
            hint="set permissions.file, or name a file with --file",
        )
    return path, read_permissions(path, config.limits.to_core())


def _section_and_path(text: str, section: str | None) -> tuple[SectionName, Path]:
    try:
        keys = parse_path(text)[0]
    except PathError as error:
        raise click.BadParameter(str(error), param_hint="PATH") from error
    if section is None:
        section, *rest = keys
        keys = tuple(rest)
    for name in SECTIONS:
        if name == section and keys:
            return name, keys
    raise click.BadParameter(
        f"{text!r} does not lead into a section: write desired.on, or on with --section desired",
        param_hint="PATH",
    )


def _reason(decision: Decision, file: FilePath) -> str:
    if decision.rule is None:
        return _OTHERWISE[decision.otherwise]
    return printable(f"{decision.rule} ({file}:{decision.rule.line})")


def _nearest(principal: str, found: Permissions) -> str:
    from bridge.config import nearest

    meant = nearest(principal, found.principals)
    return f"did you mean {meant}?" if meant else ""


def _document(decision: Decision, file: FilePath) -> JsonObject:
    rule = decision.rule
    return {
        "allowed": decision.allowed,
        "reason": decision.otherwise if rule is None else "rule",
        "rule": None if rule is None else {**rule._asdict(), "file": str(file)},
    }
