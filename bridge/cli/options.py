"""The options that every command takes, before its name or after it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import click

from bridge.cli.invocation import Invocation
from bridge.cli.text import DURATION

REPLY_TIMEOUT_S = 10.0
"""How long to wait for a reply: a bridge answers in milliseconds, but it may just be starting."""

ROWS_DEFAULT = 50
"""Rows that a listing shows where nobody says how many: a screen or two."""


class CommonSetting(NamedTuple):
    """A setting that every command takes as a flag.

    Attributes:
        name: Its dotted name.
        flag: The short flag that is advertised. The long one, made from the dotted name as
            `bridge.config` does, is understood too: `syncbridge config` prints it as an origin.
        metavar: Stands for the value in the help.
        summary: The help.
    """

    name: str
    flag: str
    metavar: str
    summary: str


COMMON_SETTINGS = (
    CommonSetting("broker.url", "--broker", "URL", "The MQTT broker, as mqtt://host:port."),
    CommonSetting("prefix", "--prefix", "LEVELS", "What all topics begin with, such as sync."),
    CommonSetting("broker.username", "--username", "USER", "Log in to the broker as USER."),
    CommonSetting(
        "broker.password_file",
        "--password-file",
        "FILE",
        "Read the password from FILE; or set SYNCBRIDGE_BROKER_PASSWORD.",
    ),
    CommonSetting(
        "log.level", "--log-level", "LEVEL", "Least severe to log: debug, info, warning or error."
    ),
)


def setting_options(setting: CommonSetting) -> list[click.Parameter]:
    """Return the option of a setting, and its long form where that is another."""

    def remember(context: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value is not None:
            context.ensure_object(Invocation).flags[setting.name] = value

    long_flag = "--" + setting.name.replace(".", "-").replace("_", "-")
    return [
        click.Option(
            [flag],
            metavar=setting.metavar,
            help=setting.summary,
            hidden=flag != setting.flag,
            expose_value=False,
            callback=remember,
        )
        for flag in dict.fromkeys((setting.flag, long_flag))
    ]


def _remember_file(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Invocation).file = Path(value)


def common_options() -> list[click.Parameter]:
    """Return the options that are understood before and after the name of a command."""
    config_file = click.Option(
        ["--config", "config_file"],
        metavar="FILE",
        help="Read the settings from FILE, not from ./bridge.yaml.",
        expose_value=False,
        callback=_remember_file,
    )
    return [config_file, *chain.from_iterable(map(setting_options, COMMON_SETTINGS))]


class Command(click.Command):
    """A command that also takes the common options, listed in a section of their own."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the common ones."""
        return super().get_params(ctx) + common_options()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then the common ones."""
        for title, parameters in (
            ("Options", super().get_params(ctx)),
            ("Options of every command", common_options()),
        ):
            records = [p.get_help_record(ctx) for p in parameters if isinstance(p, click.Option)]
            rows = [record for record in records if record is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def command(name: str) -> Callable[[Callable[..., object]], Command]:
    """Make a function a command of the program (a decorator)."""

    def decorate(function: Callable[..., object]) -> Command:
        return click.command(name, cls=Command)(function)

    return decorate


name_option = click.option(
    "--name", metavar="TWIN", default="", help="The twin of that name, not the unnamed one."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
as_option = click.option(
    "--as",
    "as_name",
    metavar="NAME",
    help="Ask under this name. Default: the broker's user name, or cli- and yours.",
)
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=DURATION,
    default=REPLY_TIMEOUT_S,
    metavar="DURATION",
    help="How long to wait for the reply. Default: 10s.",
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=ROWS_DEFAULT,
    metavar="N",
    help="At most N of them. Default: 50.",
)
