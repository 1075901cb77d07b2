"""`syncbridge acl`: the broker's access control list, made from the permissions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mosquitto import CONFIGURATION, LOGIN, login_lines, mosquitto_lines
from bridge.cli.options import Command
from bridge.cli.permissions import file_option, load_permissions
from bridge.core.broker_rights import broker_rights
from bridge.core.topics import is_name
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.core.permissions import Permissions

BRIDGE_LOGIN = "syncbridge"
"""The bridge's login where none is configured or given."""


@click.group("acl")
def acl() -> None:
    """Print the broker's access control list, made from the permissions.

    \b
    Examples:
      syncbridge acl mosquitto > /etc/mosquitto/acl
      syncbridge acl mosquitto --bridge-login bridge
      syncbridge acl mosquitto --print configuration > mosquitto.conf
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@acl.command("mosquitto", cls=Command)
@click.option(
    "--bridge-login",
    metavar="USER",
    help="The bridge's own login. Default: broker.username, or else syncbridge.",
)
@click.option(
    "--print",
    "what",
    type=click.Choice(["acl", "configuration", "logins"]),
    default="acl",
    help="The list, a mosquitto.conf that uses it, or the commands that make the logins.",
)
@file_option
@pass_invocation
def mosquitto(
    invocation: Invocation, bridge_login: str | None, what: str, file: str | None
) -> None:
    """Print an acl_file for Mosquitto, or what goes with it.

    It binds every name in a topic to the login. What Mosquitto cannot express is open for writing,
    where the bridge refuses it, and closed for reading; these rules are listed at the end.
    """
    path, permissions = load_permissions(invocation, file)
    config = invocation.load().config
    login = bridge_login or config.broker.username or BRIDGE_LOGIN
    _check(permissions, path, login, config.prefix)
    if what == "configuration":
        click.echo(CONFIGURATION, nl=False)
        return
    if what == "logins":
        click.echo("\n".join(login_lines([login, *permissions.principals])))
        return
    rights = broker_rights(permissions, LOGIN)
    click.echo("\n".join(mosquitto_lines(rights, config.prefix, login, path)))


def _check(permissions: Permissions, path: Path, login: str, prefix: str) -> None:
    """Refuse what cannot become a list.

    Raises:
        ConfigError: What is open by default cannot be listed; the bridge's login is a principal's;
            or a name or the prefix would have a meaning of its own in the list.
    """
    if permissions.default != "deny":
        raise ConfigError(
            f"the permissions in {path} have the default {permissions.default}",
            field="permissions.file",
            source=str(path),
            hint="write default: deny, and rules: what is open by default cannot be listed",
        )
    if not is_name(login) or login in permissions.principals:
        why = "is a principal" if login in permissions.principals else "can be no name in a topic"
        raise ConfigError(
            f"the bridge's login {login!r} {why}",
            field="broker.username",
            hint="give it a login of its own: it may do everything; see --bridge-login",
        )
    if "%" in prefix or not prefix.isprintable() or prefix != prefix.strip():
        raise ConfigError(
            f"the prefix {prefix!r} cannot stand in a list: it has a %, or white space that counts",
            field="prefix",
            hint="choose another prefix",
        )
