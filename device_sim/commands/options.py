"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

import click

from bridge.secret_file import read_secret
from device_sim.broker import Broker
from device_sim.declarations import near, read_duration
from device_sim.faults import Fault, parse_fault
from device_sim.kinds import KINDS, Kind, read_kinds
from device_sim.scenarios import SCENARIOS, Scenario, read_scenario

PASSWORD_VARIABLE = "SYNCBRIDGE_BROKER_PASSWORD"  # noqa: S105 (its name)
"""As for the bridge: a password on the command line could be read by every user."""

OWN_RATE = "kind"
"""Stands for: as often as each kind says."""

_Function = TypeVar("_Function", bound=Callable[..., object])


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float | int):
            return float(value)
        try:
            return read_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Kinds(click.ParamType[tuple[Kind, ...]]):
    name = "kinds"

    def convert(
        self,
        value: str | tuple[Kind, ...],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[Kind, ...]:
        if isinstance(value, tuple):
            return value
        chosen: dict[str, Kind] = {}
        for name in (each.strip() for each in value.split(",")):
            if name.endswith((".yaml", ".yml")):
                chosen |= read_kinds(Path(name))
            elif name in KINDS:
                chosen[name] = KINDS[name]
            else:
                self.fail(f"{name!r} is not one of {', '.join(KINDS)}, nor a YAML file", param, ctx)
        return tuple(chosen.values())


class _Rate(click.ParamType[float | None]):
    name = "rate"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if value == OWN_RATE:
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of reports a second nor 'kind'", param, ctx)


class _Scenario(click.ParamType[Scenario]):
    name = "scenario"

    def convert(
        self, value: str | Scenario, param: click.Parameter | None, ctx: click.Context | None
    ) -> Scenario:
        if isinstance(value, Scenario):
            return value
        if value.endswith((".yaml", ".yml")):
            return read_scenario(Path(value))
        if value not in SCENARIOS:
            hint = near(value, SCENARIOS)
            self.fail(f"{value!r} is no scenario, nor a YAML file: {hint}", param, ctx)
        return SCENARIOS[value]


class _Fault(click.ParamType[Fault]):
    name = "fault"

    def convert(
        self, value: str | Fault, param: click.Parameter | None, ctx: click.Context | None
    ) -> Fault:
        if isinstance(value, Fault):
            return value
        try:
            return parse_fault(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _BrokerUrl(click.ParamType[Broker]):
    name = "url"

    def convert(
        self, value: str | Broker, param: click.Parameter | None, ctx: click.Context | None
    ) -> Broker:
        if isinstance(value, Broker):
            return value
        try:
            return Broker.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = _Duration()
RATE = _Rate()
SCENARIO_TYPE = _Scenario()
FAULT_TYPE = _Fault()
KINDS_TYPE = _Kinds()

encoding_option = click.option(
    "--encoding",
    type=click.Choice(["json", "msgpack"]),
    default="json",
    show_default=True,
    help="How payloads are written.",
)
protocol_option = click.option(
    "--protocol",
    type=click.Choice(["auto", "5", "3.1.1"]),
    default="auto",
    show_default=True,
    help="The version of MQTT; `auto` is 5 where the broker speaks it.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def broker_options(function: _Function) -> _Function:
    """Add the options that say where the broker is (a decorator); see `read_login`."""
    for option in (
        _file_option(
            "--key", "private_key_file", "KEY_FILE", "The private key of that certificate, in PEM."
        ),
        _file_option(
            "--cert",
            "certificate_file",
            "CERTIFICATE_FILE",
            "The devices' certificate in PEM, if they have one.",
        ),
        _file_option(
            "--ca", "ca_file", "CA_FILE", "Authorities to trust, in PEM. Default: the system's."
        ),
        click.option(
            "--password-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help=f"Read the password from FILE; or set {PASSWORD_VARIABLE}.",
        ),
        click.option(
            "--username",
            envvar="SYNCBRIDGE_BROKER_USERNAME",
            metavar="USER",
            help="Log in to the broker as USER.",
        ),
        click.option(
            "--prefix",
            envvar="SYNCBRIDGE_PREFIX",
            default="sync",
            show_default=True,
            metavar="LEVELS",
            help="What all topics begin with.",
        ),
        click.option(
            "--broker",
            type=_BrokerUrl(),
            envvar="SYNCBRIDGE_BROKER_URL",
            default=str(Broker()),
            show_default=True,
            metavar="URL",
            help="The MQTT broker, as mqtt://host:port, or mqtts://host:port over TLS.",
        ),
    ):
        function = option(function)
    return function


def _file_option(
    option: str, name: str, variable: str, text: str
) -> Callable[[_Function], _Function]:
    return click.option(
        option,
        name,
        type=click.Path(path_type=Path),
        envvar=f"SYNCBRIDGE_BROKER_{variable}",
        metavar="FILE",
        help=text,
    )


class Login(TypedDict):
    """What `broker_options` adds to a command, but for the address and the prefix."""

    username: str | None
    password_file: Path | None
    ca_file: Path | None
    certificate_file: Path | None
    private_key_file: Path | None


def read_login(broker: Broker, **login: Unpack[Login]) -> Broker:
    """Return the broker with a login, and with the files for TLS.

    Raises:
        click.UsageError: There is a password and no user, or a file for TLS that goes with none.
        ConfigError: Everybody may use the file of the password, or it cannot be read.
    """
    username, password_file = login["username"], login["password_file"]
    password = os.environ.get(PASSWORD_VARIABLE)
    if password_file is not None:
        if username is None:
            raise click.UsageError("--password-file needs --username")
        password = read_secret("--password-file", password_file)
    try:
        return replace(
            broker,
            username=username,
            password=None if username is None else password,
            ca_file=login["ca_file"],
            certificate_file=login["certificate_file"],
            key_file=login["private_key_file"],
        )
    except ValueError as error:
        raise click.UsageError(f"{error} (--ca, --cert, --key)") from error
