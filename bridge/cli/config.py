"""`syncbridge config`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bridge import config_reference
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import command, json_option
from bridge.cli.text import compact_json, printable
from bridge.config import SETTINGS, TABLES, Config, LoadedConfig
from bridge.core.policy import Rule
from bridge.core.section import JsonObject, JsonValue

HIDDEN = "(not shown)"
"""Stands for a secret that is set."""


@command("config")
@json_option
@click.option("--markdown", is_flag=True, help="Print what all settings mean, as in the manual.")
@pass_invocation
def config(invocation: Invocation, as_json: bool, markdown: bool) -> None:
    """Print every setting in force, and where its value came from.

    Flags are stronger than environment variables, those than the file, and that than the defaults.
    Passwords are never printed.

    \b
    Examples:
      syncbridge config
      syncbridge --config /etc/syncbridge.yaml config
      SYNCBRIDGE_LIMITS_DEPTH=8 syncbridge config --json
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if as_json and markdown:
        raise click.UsageError("give either --json or --markdown")
    if markdown:
        click.echo(config_reference.markdown(), nl=False)
        return
    loaded = invocation.load()
    if as_json:
        click.echo(compact_json(_document(loaded)))
        return
    names = [*SETTINGS, *TABLES]
    _print_aligned(
        [(name, _shown(loaded.value(name)), printable(loaded.origins[name])) for name in names]
    )
    if loaded.config.policies.table:
        click.echo("\npolicies:")
        _print_aligned(
            [
                (f"  {printable(device)}", printable(path), policy, printable(origin))
                for (device, path, policy), origin in _rules(loaded)
            ]
        )
    if loaded.config.schemas.files:
        click.echo("\nschemas:")
        _print_aligned(
            [
                (f"  {printable(device)}", section, printable(str(file)))
                for device, section, file, _ in loaded.config.schemas.files
            ]
        )


def _print_aligned(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def _rules(loaded: LoadedConfig) -> list[tuple[Rule, str]]:
    """Return every rule of the policies with its origin."""
    return [
        (rule, loaded.rule_origins[rule.device, rule.path]) for rule in loaded.config.policies.table
    ]


def _shown(value: str | None) -> str:
    return "(not set)" if value is None else printable(value)


def _document(loaded: LoadedConfig) -> JsonObject:
    return {
        "file": None if loaded.file is None else str(loaded.file),
        "settings": {
            name: {"value": _value(loaded.config, name), "origin": loaded.origins[name]}
            for name in SETTINGS
        },
        "policies": [{**rule._asdict(), "origin": origin} for rule, origin in _rules(loaded)],
        "schemas": [
            {"device": device, "section": section, "file": str(file)}
            for device, section, file, _ in loaded.config.schemas.files
        ],
    }


def _value(settings: Config, name: str) -> JsonValue:
    """Return a setting's value as JSON knows it."""
    value: object = settings
    for level in name.split("."):
        value = getattr(value, level)
    if SETTINGS[name].secret:
        return None if value is None else HIDDEN
    return value if value is None or isinstance(value, int | float | str) else str(value)
