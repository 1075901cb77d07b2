"""A kind of device, declared: its fields, how they drift, what they obey, what goes together."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from bridge.device import JsonObject
from device_sim.document import apply_patch, leaves, nested
from device_sim.kinds.drifts import Drift
from device_sim.kinds.settings import Setting

Path = tuple[str, ...]

_DRAWS_MAX = 100
"""Attempts to find another value of a setting; some settings have only one."""


class Field:
    """One field.

    Args:
        path: Keys with dots between them, units last: `climate.temperature_c`.
        drift: How it changes by itself.
        obeys: What it can be set to; None for a field that only the device changes.
        unit: As people read it, such as `°C`; empty for what has none.
        restart_s: Obeying takes a restart of so many seconds, as new firmware does; None for what
            changes at once.
    """

    def __init__(
        self,
        path: str,
        drift: Drift,
        obeys: Setting | None = None,
        *,
        unit: str = "",
        restart_s: float | None = None,
    ) -> None:
        self.path: Path = tuple(path.split("."))
        self.drift = drift
        self.obeys = obeys
        self.unit = unit
        self.restart_s = restart_s


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device.

    Attributes:
        name: Also the beginning of the ids: `lamp-0001`.
        about: One line on what it is.
        fields: All that it reports.
        messages: What it sends in one message, as beginnings of paths, with how often relative to
            the others: `(("climate",), 6.0)` is everything below `climate`.
        interval_s: Between two messages, on average.
        sleep_after_s: It disconnects so long after it last had something to say, until it has
            something to say again; None for a device that stays connected.
    """

    name: str
    about: str
    fields: tuple[Field, ...]
    messages: tuple[tuple[tuple[str, ...], float], ...]
    interval_s: float = 60.0
    sleep_after_s: float | None = None
    restarts: dict[Path, float] = field(init=False, repr=False, compare=False)
    settings: dict[Path, Setting] = field(init=False, repr=False, compare=False)
    parts: tuple[tuple[Field, ...], ...] = field(init=False, repr=False, compare=False)
    weights: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out what is asked for often.

        Raises:
            ValueError: A message would be empty, or a field lies below another one.
        """
        paths = {each.path for each in self.fields}
        for path in paths:
            if any(path[:length] in paths for length in range(1, len(path))):
                raise ValueError(f"kind {self.name!r}: {'.'.join(path)} lies below another field")
        restarts = {each.path: each.restart_s for each in self.fields if each.restart_s is not None}
        object.__setattr__(self, "restarts", restarts)
        settings = {each.path: each.obeys for each in self.fields if each.obeys is not None}
        object.__setattr__(self, "settings", settings)
        parts = tuple(self._below(beginnings) for beginnings, _ in self.messages)
        if not all(parts):
            raise ValueError(f"kind {self.name!r}: a message has no fields")
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "weights", tuple(weight for _, weight in self.messages))

    def _below(self, beginnings: tuple[str, ...]) -> tuple[Field, ...]:
        paths = [tuple(beginning.split(".")) for beginning in beginnings]
        return tuple(
            each for each in self.fields if any(each.path[: len(path)] == path for path in paths)
        )

    def contradict(self, patch: JsonObject, pick: float) -> JsonObject:
        """Return other values than a patch has, where the settings know others.

        Args:
            patch: What is desired.
            pick: From 0 to below 1, decides which.
        """
        random = Random(pick)
        other: JsonObject = {}
        for path, value in leaves(patch):
            setting = self.settings[path]
            drawn = (setting.draw(random) for _ in range(_DRAWS_MAX))
            instead = next((each for each in drawn if each != value), value)
            apply_patch(other, nested(path, instead))
        return other

    def obeyed(self, desired: JsonObject) -> JsonObject:
        """Return the part of a desired document that such a device obeys."""
        patch: JsonObject = {}
        for path, value in leaves(desired):
            setting = self.settings.get(path)
            if setting is not None and setting.takes(value):
                apply_patch(patch, nested(path, value))
        return patch
