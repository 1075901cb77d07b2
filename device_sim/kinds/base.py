"""A kind of device, declared: its fields, how they drift, what they obey, what goes together."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.device import JsonObject, JsonValue
from device_sim.document import apply_patch, leaves, nested
from device_sim.kinds.drifts import Drift, Fixed
from device_sim.kinds.settings import Setting

Path = tuple[str, ...]


class Field:
    """One field.

    Args:
        path: Keys with dots between them, units last: `climate.temperature_c`.
        drift: How it changes by itself.
        obeys: What it can be set to; None for a field that only the device changes.
    """

    def __init__(self, path: str, drift: Drift, obeys: Setting | None = None) -> None:
        self.path: Path = tuple(path.split("."))
        self.drift = drift
        self.obeys = obeys

    @classmethod
    def setting(cls, path: str, value: JsonValue, obeys: Setting) -> Field:
        """Return a field that changes only if someone desires it."""
        return cls(path, Fixed(value), obeys)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device.

    Attributes:
        name: Also the beginning of the ids: `lamp-0001`.
        about: One line on what it is.
        fields: All that it reports.
        messages: What it sends in one message, as beginnings of paths, with how often relative to
            the others: `(("climate",), 6.0)` is everything below `climate`.
    """

    name: str
    about: str
    fields: tuple[Field, ...]
    messages: tuple[tuple[tuple[str, ...], float], ...]
    settings: dict[Path, Setting] = field(init=False, repr=False, compare=False)
    parts: tuple[tuple[Field, ...], ...] = field(init=False, repr=False, compare=False)
    weights: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out what is asked for often.

        Raises:
            ValueError: A message would be empty.
        """
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

    def obeyed(self, desired: JsonObject) -> JsonObject:
        """Return the part of a desired document that such a device obeys."""
        patch: JsonObject = {}
        for path, value in leaves(desired):
            setting = self.settings.get(path)
            if setting is not None and setting.takes(value):
                apply_patch(patch, nested(path, value))
        return patch
