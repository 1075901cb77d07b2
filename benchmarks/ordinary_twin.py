"""The ordinary twin that sizes are measured with: 20 fields, written by numbered messages.

A climate station in a greenhouse: the device says who it is once, its readings often, the rest now
and then; an application wants two things of it, one of which it has not done yet. Every message has
`boot` and `seq`, as the device library sends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import orjson

from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Delivery, SectionName, Update
from bridge.wire.inbound import decode_body

FIELDS: Final = 20

APPLICATION: Final = "dashboard"

BEGAN_AT: Final = 1_795_389_192_794_313
"""The bridge's clock at the first message, in µs."""

_IDENTITY: Final[JsonObject] = {
    "serial": "SB4-2203-00017",
    "firmware": "2.4.1",
    "wifi": {"ssid": "greenhouse", "ip": "192.168.20.41", "rssi": -61},
}
_WISHES: Final[JsonObject] = {"interval_s": 60, "pump": {"on": True}}

CYCLES: Final = 30
"""Rounds of readings: enough for sequence numbers and versions of two digits or more."""


def messages(number: int) -> Iterator[tuple[SectionName, JsonObject]]:
    """Yield what is written to the twin of this number, in order: section and patch."""
    yield "reported", {**_IDENTITY, "wifi": {**_wifi(number), "rssi": -61}}
    yield "desired", _WISHES
    for cycle in range(CYCLES):
        if cycle % 10 == 0:
            yield "reported", _status(cycle)
        if cycle % 5 == 0:
            yield "reported", _battery(cycle)
        yield "reported", _climate(number, cycle)
    yield "reported", {"interval_s": 60, "wifi": {"rssi": -63}}


def _wifi(number: int) -> JsonObject:
    return {"ssid": "greenhouse", "ip": f"192.168.{number // 250}.{number % 250}"}


def _status(cycle: int) -> JsonObject:
    return {"uptime_s": 600 * cycle, "pump": {"on": False, "runs": 118 + cycle}}


def _battery(cycle: int) -> JsonObject:
    return {"battery": {"percent": 87 - cycle // 6, "volts": 3.92}}


def _climate(number: int, cycle: int) -> JsonObject:
    return {
        "temperature": round(21.37 + cycle / 10 + number % 7, 2),
        "humidity": round(48.25 - cycle / 4, 2),
        "pressure": 1013.25 + cycle % 3,
        "co2": 612 + 3 * cycle,
        "light": 350.5 + 10 * cycle,
        "soil": {"moisture": round(0.31 + cycle / 100, 2), "temperature": 18.9},
    }


def ordinary_twin(number: int = 0) -> Twin:
    """Return the twin of this number as it stands in memory after its messages."""
    key = TwinKey(f"station-{number:05}")
    twin = Twin(key)
    seqs = {"reported": 0, "desired": 0}
    for step, (section, patch) in enumerate(messages(number)):
        seqs[section] += 1
        metadata = {"boot": f"9f31c{number:03x}", "seq": seqs[section]}
        payload = orjson.dumps({**patch, "$": metadata})
        # Through the wire, so that no string is shared that would not be shared in the bridge.
        body = decode_body(payload, Limits())
        update = Update(
            key,
            section,
            APPLICATION if section == "desired" else f"station-{number:05}",
            body.state,
            body.metadata,
            payload,
            Delivery(step + 1),
            body.size_bytes,
        )
        reconcile(twin, update, BEGAN_AT + step * 2_000_317, Limits())
    return twin
