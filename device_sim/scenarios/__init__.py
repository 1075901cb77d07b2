"""Scenarios: what a fleet goes through, from a YAML file."""

from __future__ import annotations

from importlib import resources

from device_sim.declarations import Members
from device_sim.scenarios.reading import read_scenario, scenario_in
from device_sim.scenarios.scenario import Scenario, ScenarioPhase

__all__ = ["SCENARIOS", "Scenario", "ScenarioPhase", "built_in_scenario_text", "read_scenario"]

_BUILT_IN = ("morning", "firmware-roll-out", "power-cut", "reconnect-storm")


def built_in_scenario_text(name: str) -> str:
    """Return the declaration of a scenario that comes with the program.

    Raises:
        KeyError: There is no such scenario.
    """
    if name not in _BUILT_IN:
        raise KeyError(name)
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")


SCENARIOS: dict[str, Scenario] = {
    name: scenario_in(Members.of_text(built_in_scenario_text(name).encode(), f"{name}.yaml"), name)
    for name in _BUILT_IN
}
