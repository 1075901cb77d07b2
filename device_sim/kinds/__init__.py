"""The kinds of device that can be simulated, by name."""

from __future__ import annotations

from importlib import resources

from device_sim.declarations import Members
from device_sim.kinds.base import Field, Kind
from device_sim.kinds.reading import kinds_in, read_kinds

__all__ = ["KINDS", "Field", "Kind", "built_in_text", "kinds_in", "read_kinds"]

_BUILT_IN = ("thermostat", "lamp", "energy-meter", "tracker", "door-lock")


def built_in_text(name: str) -> str:
    """Return the declaration of a kind that comes with the program.

    Raises:
        KeyError: There is no such kind.
    """
    if name not in _BUILT_IN:
        raise KeyError(name)
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")


KINDS: dict[str, Kind] = {
    kind.name: kind
    for name in _BUILT_IN
    for kind in kinds_in(Members.of_text(built_in_text(name).encode(), f"{name}.yaml"))
}
