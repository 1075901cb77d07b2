"""A radiator thermostat: measures often, is set now and then, runs on a battery."""

from __future__ import annotations

from device_sim.kinds.base import Field, Kind
from device_sim.kinds.drifts import Among, Battery, Daily, Walk
from device_sim.kinds.settings import Between, Switch, Word

THERMOSTAT = Kind(
    name="thermostat",
    about="a radiator thermostat with a valve and a battery",
    fields=(
        Field("climate.temperature_c", Daily(mean=20.5, swing=2.0, noise=0.1)),
        Field("climate.humidity_pct", Walk(30, 65, stride=1.5)),
        Field("climate.target_c", Among((17.0, 19.5, 21.0, 22.5)), Between(5.0, 30.0, decimals=1)),
        Field.setting("mode", "auto", Word(("auto", "heat", "off"))),
        Field.setting("child_lock", False, Switch()),
        Field("valve.open_pct", Walk(0, 100, stride=8, decimals=0)),
        Field("valve.fault", Among((None, None, None, "stuck"), change=0.1)),
        Field("battery.level_pct", Battery(per_hour=0.5)),
    ),
    messages=(
        (("climate.temperature_c", "climate.humidity_pct"), 6.0),
        (("valve",), 3.0),
        # Someone turns the knob.
        (("climate.target_c",), 1.0),
        (("battery",), 0.5),
    ),
)
