"""A three-phase energy meter: many numbers, often, and hardly anything to set."""

from __future__ import annotations

from device_sim.kinds.base import Field, Kind
from device_sim.kinds.drifts import Among, Rising, Walk
from device_sim.kinds.settings import Between, Switch, Word


def _phase(name: str) -> tuple[Field, ...]:
    return (
        Field(f"{name}.voltage_v", Walk(225.0, 235.0, stride=0.6)),
        Field(f"{name}.current_a", Walk(0.0, 16.0, stride=0.9, decimals=3)),
        Field(f"{name}.power_w", Walk(0.0, 3600.0, stride=180.0)),
        Field(f"{name}.power_factor", Walk(0.3, 1.0, stride=0.05, decimals=2)),
    )


ENERGY_METER = Kind(
    name="energy-meter",
    about="a three-phase energy meter with a relay",
    fields=(
        *_phase("phase:a"),
        *_phase("phase:b"),
        *_phase("phase:c"),
        Field("grid.frequency_hz", Walk(49.9, 50.1, stride=0.02, decimals=2)),
        Field("total.import_wh", Rising(per_hour=1800, start_below=5_000_000, decimals=2)),
        Field("total.export_wh", Rising(per_hour=300, start_below=500_000, decimals=2)),
        Field("alarm", Among((None, None, "overvoltage", "phase_loss"), change=0.1)),
        Field.setting("relay.closed", True, Switch()),
        Field.setting("report.interval_s", 10, Between(1, 3600)),
        Field.setting("tariff", "day", Word(("day", "night"))),
    ),
    messages=(
        (("phase:a", "phase:b", "phase:c"), 3.0),
        (("phase:a",), 1.0),
        (("total",), 2.0),
        (("grid", "alarm"), 1.0),
    ),
)
