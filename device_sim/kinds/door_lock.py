"""A door lock: quiet for long, and then what it says matters."""

from __future__ import annotations

from device_sim.kinds.base import Field, Kind
from device_sim.kinds.drifts import Among, Battery, Rising
from device_sim.kinds.settings import Between, Numbers, Switch

DOOR_LOCK = Kind(
    name="door-lock",
    about="a door lock with a keypad",
    fields=(
        Field("locked", Among((True, True, False), change=0.8), Switch()),
        Field("door.open", Among((False, False, True), change=0.8)),
        Field("last.user", Among((None, "anna", "bob", "carla"), change=0.6)),
        Field("last.method", Among(("keypad", "key", "app"), change=0.6)),
        Field("keypad.failed_attempts", Rising(per_hour=2, start_below=20)),
        Field.setting("keypad.enabled", True, Switch()),
        Field.setting("keypad.slots", [], Numbers(1, 99, most=5)),
        Field.setting("auto_lock.after_s", 120, Between(5, 900)),
        Field("battery.level_pct", Battery(per_hour=0.1)),
        Field("battery.voltage_v", Among((5.8, 5.9, 6.0), change=0.2)),
    ),
    messages=(
        (("locked", "last"), 3.0),
        (("door",), 3.0),
        (("keypad.failed_attempts",), 0.5),
        (("battery",), 0.5),
    ),
)
