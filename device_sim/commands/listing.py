"""`device-sim --list`: everything that can be named on the command line, one line each."""

from __future__ import annotations

from collections.abc import Iterable

import click

from device_sim.faults import FAULTS
from device_sim.kinds import KINDS
from device_sim.scenarios import SCENARIOS


def print_list(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001
    """Print the list and end the program; a callback of click's."""
    if not value or ctx.resilient_parsing:
        return
    _print("Kinds of device (--kinds)", ((kind.name, kind.about) for kind in KINDS.values()))
    _print(
        "Scenarios (--scenario)",
        ((scenario.name, scenario.about) for scenario in SCENARIOS.values()),
    )
    _print("Faults (--fault)", ((fault.name, fault.about) for fault in FAULTS.values()))
    ctx.exit()


def _print(title: str, rows: Iterable[tuple[str, str]]) -> None:
    click.echo(click.style(title, bold=True))
    for name, about in rows:
        click.echo(f"  {name:<20}{about}")
