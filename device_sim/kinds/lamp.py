"""A colour lamp: mostly set by others, sometimes by the switch on the wall."""

from __future__ import annotations

from device_sim.kinds.base import Field, Kind
from device_sim.kinds.drifts import Among, Uptime, Walk
from device_sim.kinds.settings import Between, Switch, Word

_CHANNEL = Between(0, 255)
_EFFECTS = ("candle", "rainbow", "pulse")

LAMP = Kind(
    name="lamp",
    about="a colour lamp with a switch on the wall",
    fields=(
        Field("on", Among((True, False), change=0.7), Switch()),
        Field("brightness_pct", Walk(1, 100, stride=15, decimals=0), Between(1, 100)),
        Field("color.r", Walk(0, 255, stride=40, decimals=0), _CHANNEL),
        Field("color.g", Walk(0, 255, stride=40, decimals=0), _CHANNEL),
        Field("color.b", Walk(0, 255, stride=40, decimals=0), _CHANNEL),
        Field("effect", Among((None, *_EFFECTS)), Word(_EFFECTS)),
        Field("power.active_w", Walk(0.0, 9.5, stride=0.8, decimals=2)),
        Field("power.temperature_c", Walk(25.0, 60.0, stride=0.7)),
        Field("wifi.rssi_dbm", Walk(-85, -40, stride=3, decimals=0)),
        Field("uptime_s", Uptime()),
    ),
    messages=(
        (("power",), 4.0),
        (("on", "brightness_pct"), 2.0),
        (("color", "effect"), 1.0),
        (("wifi", "uptime_s"), 1.0),
    ),
)
