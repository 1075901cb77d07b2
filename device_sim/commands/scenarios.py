"""`device-sim scenarios`: what a fleet can go through."""

from __future__ import annotations

from pathlib import Path

import click

from device_sim.scenarios import SCENARIOS, Scenario, built_in_scenario_text, read_scenario


@click.command(short_help="List the scenarios, with their phases.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--yaml", "name", metavar="SCENARIO", help="Print the declaration of a scenario.")
def scenarios(file: Path | None, name: str | None) -> None:
    """List the scenarios with their phases; or check the one in a FILE and show its phases.

    \b
    A scenario of one's own: begin with another one, change it, look at it, run it:
      device-sim scenarios --yaml power-cut > story.yaml
      device-sim scenarios story.yaml
      device-sim run --scenario story.yaml
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if name is not None:
        _print_declaration(name)
        return
    for scenario in SCENARIOS.values() if file is None else (read_scenario(file),):
        _print_scenario(scenario)


def _print_scenario(scenario: Scenario) -> None:
    click.echo(f"{click.style(scenario.name, bold=True)}: {scenario.about}")
    for start_s, phase in scenario.begins():
        happens = [("power on" if power.is_on else "power off") for power in phase.powers]
        happens += ["desired: " + ", ".join(desire.patch) for desire in phase.desires]
        happens += [fault.kind for fault in phase.faults]
        what = f"  ({'; '.join(happens)})" if happens else ""
        click.echo(f"  {start_s:>5g} s  {phase.name}{what}")


def _print_declaration(name: str) -> None:
    try:
        text = built_in_scenario_text(name)
    except KeyError:
        raise click.UsageError(f"{name!r} is not one of {', '.join(SCENARIOS)}") from None
    click.echo(text, nl=False)
