"""`device-sim faults`: what can be injected, and how it is written."""

from __future__ import annotations

import click

from device_sim.faults import FAULTS, Acts, FaultKind


@click.command(short_help="List the faults, with their parameters.")
def faults() -> None:
    """List the faults, on what each acts, and what its parameters are where they are not given.

    \b
    One report in twenty is lost, for half a minute:
      device-sim run --for 1m --fault loss=5%,from=10s,until=40s
    \b
    Each device breaks its connection about once a minute, and finds its session again:
      device-sim run --for 5m --fault reconnect,every=1m,session=yes
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    width = max(map(len, FAULTS)) + 2
    for fault in FAULTS.values():
        click.echo(f"{click.style(fault.name.ljust(width), bold=True)}{fault.about}")
        click.echo(f"{' ' * width}{written(fault)}")


def written(fault: FaultKind) -> str:
    """Return how a fault is written, with what it takes."""
    when = f"{fault.name}=5%" if fault.acts is Acts.TRAIT else f"{fault.name}=1%, or every=, at="
    own = [
        f"{name}={value}" if isinstance(value, str) else f"{name}={value:g}{_unit(name)}"
        for name, value in fault.takes.items()
    ]
    return f"of {fault.acts.value}: " + ", ".join([when, *own])


def _unit(name: str) -> str:
    return "" if name == "rate" else "s"
