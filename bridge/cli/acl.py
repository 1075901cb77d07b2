"""`syncbridge acl`: the broker's access control list, made from the permissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli import amqtt as for_amqtt
from bridge.cli import dynamic_security
from bridge.cli import emqx as for_emqx
from bridge.cli import mosquitto as for_mosquitto
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import Command
from bridge.cli.permissions import file_option, load_permissions
from bridge.core.broker_rights import broker_rights, rights_of_login
from bridge.core.topic_rights import AMQTT, EMQX, MOSQUITTO, Broker, TopicRight
from bridge.core.topics import is_device_id, is_name
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.core.permissions import Permissions

BRIDGE_LOGIN = "syncbridge"
"""The bridge's login where none is configured or given."""

bridge_login_option = click.option(
    "--bridge-login",
    metavar="USER",
    help="The bridge's own login. Default: broker.username, or else syncbridge.",
)
devices_option = click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="ID",
    help="A device that is to log in, beside the principals; can be given several times.",
)


@click.group("acl")
def acl() -> None:
    """Print the broker's access control list, made from the permissions.

    \b
    Examples:
      syncbridge acl mosquitto > /etc/mosquitto/acl
      syncbridge acl mosquitto --print configuration > mosquitto.conf
      syncbridge acl mosquitto --dynamic-security --device lamp-1 > roles.sh
      syncbridge acl emqx > acl.conf
      syncbridge acl amqtt --device lamp-1 --device lamp-2 > broker.yaml
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@dataclass(frozen=True, slots=True)
class _Source:
    """What a list is made of."""

    path: Path
    permissions: Permissions
    prefix: str
    bridge_login: str
    devices: tuple[str, ...]

    @property
    def logins(self) -> list[str]:
        """All that are known by name: the bridge's, the principals and the devices."""
        return list(dict.fromkeys((self.bridge_login, *self.permissions.principals, *self.devices)))

    def rights(self, broker: Broker) -> dict[str, tuple[TopicRight, ...]]:
        """Return what each login but the bridge's may, for a broker without patterns."""
        names = self.logins[1:]
        return {name: rights_of_login(self.permissions, name, broker) for name in names}


@acl.command("mosquitto", cls=Command)
@bridge_login_option
@click.option(
    "--print",
    "what",
    type=click.Choice(["acl", "configuration", "logins"]),
    default="acl",
    help="The list, a mosquitto.conf that uses it, or the commands that make the logins.",
)
@click.option(
    "--dynamic-security",
    "dynamic",
    is_flag=True,
    help="For the dynamic security plugin: a script that makes its roles and clients.",
)
@devices_option
@file_option
@pass_invocation
def mosquitto(
    invocation: Invocation,
    bridge_login: str | None,
    what: str,
    dynamic: bool,
    devices: Sequence[str],
    file: str | None,
) -> None:
    """Print an acl_file for Mosquitto, or what goes with it.

    It binds every name in a topic to the login. What Mosquitto cannot express is open for writing,
    where the bridge refuses it, and closed for reading; these rules are listed as comments.
    """
    source = _source(invocation, file, bridge_login, devices)
    if what == "configuration":
        made = dynamic_security if dynamic else for_mosquitto
        click.echo(made.CONFIGURATION, nl=False)
    elif what == "logins":
        make = dynamic_security.login_lines if dynamic else for_mosquitto.login_lines
        click.echo("\n".join(make(source.logins)))
    elif dynamic:
        narrowed = broker_rights(source.permissions, for_mosquitto.LOGIN).narrowed
        rights = source.rights(MOSQUITTO)
        where = (source.prefix, source.bridge_login, source.path)
        click.echo("\n".join(dynamic_security.script_lines(rights, narrowed, *where)))
    else:
        all_rights = broker_rights(source.permissions, for_mosquitto.LOGIN)
        where = (source.prefix, source.bridge_login, source.path)
        click.echo("\n".join(for_mosquitto.mosquitto_lines(all_rights, *where)))


@acl.command("emqx", cls=Command)
@bridge_login_option
@click.option(
    "--print",
    "what",
    type=click.Choice(["acl", "configuration"]),
    default="acl",
    help="The list, or settings that use it.",
)
@file_option
@pass_invocation
def emqx(invocation: Invocation, bridge_login: str | None, what: str, file: str | None) -> None:
    """Print an acl.conf for EMQX 5, or settings for it.

    Written after the documentation of EMQX, and not tried on one: `syncbridge doctor` tries what
    comes of it. EMQX looks at subscriptions and not at what it hands out, so that one exception
    closes a subscription to all.
    """
    source = _source(invocation, file, bridge_login, ())
    if what == "configuration":
        click.echo(for_emqx.CONFIGURATION, nl=False)
        return
    rights = broker_rights(source.permissions, for_emqx.LOGIN, EMQX)
    where = (source.prefix, source.bridge_login, source.path)
    click.echo("\n".join(for_emqx.emqx_lines(rights, *where)))


@acl.command("amqtt", cls=Command)
@bridge_login_option
@click.option(
    "--print",
    "what",
    type=click.Choice(["configuration", "logins"]),
    default="configuration",
    help="The broker.yaml, or the commands that make the file of passwords.",
)
@devices_option
@file_option
@pass_invocation
def amqtt(
    invocation: Invocation,
    bridge_login: str | None,
    what: str,
    devices: Sequence[str],
    file: str | None,
) -> None:
    """Print a broker.yaml for amqtt, the embedded broker, with logins and topics.

    It knows no patterns: each device has to be named. It ties a session to nothing but the client
    id: this is for trying things out.
    """
    source = _source(invocation, file, bridge_login, devices)
    if what == "logins":
        click.echo("\n".join(for_amqtt.login_lines(source.logins)))
        return
    narrowed = broker_rights(source.permissions, "+", AMQTT).narrowed
    where = (source.prefix, source.bridge_login, source.path)
    click.echo("\n".join(for_amqtt.amqtt_lines(source.rights(AMQTT), narrowed, *where)))


def _source(
    invocation: Invocation, file: str | None, bridge_login: str | None, devices: Sequence[str]
) -> _Source:
    """Read what a list is made of.

    Raises:
        ConfigError: What is open by default cannot be listed; the bridge's login is a principal's;
            or a name or the prefix would have a meaning of its own in the list.
    """
    path, permissions = load_permissions(invocation, file)
    config = invocation.load().config
    login = bridge_login or config.broker.username or BRIDGE_LOGIN
    _check(permissions, path, (login, *devices), config.prefix)
    return _Source(path, permissions, config.prefix, login, tuple(devices))


def _check(permissions: Permissions, path: Path, logins: tuple[str, ...], prefix: str) -> None:
    login, *devices = logins
    if permissions.default != "deny":
        raise ConfigError(
            f"the permissions in {path} have the default {permissions.default}",
            field="permissions.file",
            source=str(path),
            hint="write default: deny, and rules: what is open by default cannot be listed",
        )
    if not is_name(login) or login in (*permissions.principals, *devices):
        why = "is a principal or a device" if is_name(login) else "can be no name in a topic"
        raise ConfigError(
            f"the bridge's login {login!r} {why}",
            field="broker.username",
            hint="give it a login of its own: it may do everything; see --bridge-login",
        )
    for device in devices:
        if not is_device_id(device):
            raise ConfigError(
                f"{device!r} can be no device id",
                field="--device",
                hint="letters, digits, and . _ - after the first; at most 64",
            )
    if "%" in prefix or "${" in prefix or not prefix.isprintable() or prefix != prefix.strip():
        raise ConfigError(
            f"the prefix {prefix!r} cannot stand in a list: it has a %, a ${{, or white space that "
            "counts",
            field="prefix",
            hint="choose another prefix",
        )
