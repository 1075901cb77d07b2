"""A tracker on a vehicle: a position, and now and then no position."""

from __future__ import annotations

from device_sim.kinds.base import Field, Kind
from device_sim.kinds.drifts import Among, Battery, Rising, Subset, Walk
from device_sim.kinds.settings import Between, Switch

TRACKER = Kind(
    name="tracker",
    about="a position tracker on a vehicle, with a buzzer",
    fields=(
        Field("position.latitude_deg", Walk(52.35, 52.65, stride=0.002, decimals=6)),
        Field("position.longitude_deg", Walk(13.10, 13.70, stride=0.003, decimals=6)),
        Field("position.altitude_m", Walk(30.0, 80.0, stride=1.5)),
        Field("position.accuracy_m", Walk(2.0, 40.0, stride=4.0)),
        # No fix in a tunnel: the field is removed and comes back.
        Field("position.fix", Among((None, "2d", "3d", "3d"), change=0.4)),
        Field("satellites", Subset((2, 5, 7, 9, 12, 15, 18, 21, 24, 29))),
        Field("motion.speed_mps", Walk(0.0, 33.0, stride=3.0)),
        Field("motion.heading_deg", Walk(0, 359, stride=25, decimals=0)),
        Field("motion.odometer_m", Rising(per_hour=40_000, start_below=90_000_000)),
        Field("battery.level_pct", Battery(per_hour=2.0)),
        Field.setting("tracking.enabled", True, Switch()),
        Field.setting("tracking.interval_s", 30, Between(1, 3600)),
        Field.setting("buzzer.on", False, Switch()),
    ),
    messages=(
        (("position", "motion"), 6.0),
        (("satellites",), 1.0),
        (("battery",), 0.5),
    ),
)
