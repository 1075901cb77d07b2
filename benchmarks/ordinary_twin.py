"""The ordinary twin that sizes are measured with: 20 fields, written by numbered messages.

A climate station in a greenhouse. The device says once who it is, its readings often and the rest
now and then; an application wants two things of it, one of which it has not done yet. Every message
has `boot` and `seq`, as the device library sends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Final

import orjson

from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import SectionName, Update
from bridge.wire.inbound import decode_body

FIELDS: Final = 20

MESSAGES: Final = 45
"""Messages that have been written to a twin when it is measured."""

APPLICATION: Final = "dashboard"

BEGAN_AT: Final = 1_795_389_192_794_313
"""The bridge's clock at the first message, in µs."""

INTERVAL_US: Final = 2_000_317
"""Time between two messages."""

_LIMITS: Final = Limits()


def key_of(number: int) -> TwinKey:
    """Return the key of a station, a new object each time."""
    return TwinKey(f"station-{number:05}")


def updates(number: int) -> Iterator[tuple[int, Update]]:
    """Yield what is written to a station, each message with the bridge's clock, without end."""
    key = key_of(number)
    seqs: dict[SectionName, int] = {"reported": 0, "desired": 0}
    for order, (section, patch) in enumerate(_patches(number)):
        seqs[section] += 1
        boot = f"9f31c{number:03x}" if section == "reported" else "a7e0"
        payload = orjson.dumps({**patch, "$": {"boot": boot, "seq": seqs[section]}})
        # Through the wire, so that no text is shared that would not be shared in the bridge.
        body = decode_body(payload, _LIMITS)
        writer = key.device if section == "reported" else APPLICATION
        update = Update(
            key, section, writer, body.state, body.metadata, payload, size_bytes=body.size_bytes
        )
        yield BEGAN_AT + order * INTERVAL_US, update


def ordinary_twin(number: int = 0) -> Twin:
    """Return a station's twin as it stands in memory after `MESSAGES` messages."""
    twin = Twin(key_of(number))
    for clock, update in islice(updates(number), MESSAGES):
        reconcile(twin, update, clock, _LIMITS)
    return twin


def _patches(number: int) -> Iterator[tuple[SectionName, JsonObject]]:
    yield (
        "reported",
        {
            "serial": f"SB4-2203-{number:05}",
            "started_at": "2026-11-22T17:02:11Z",
            "firmware": "2.4.1",
            "wifi": {"ssid": "greenhouse", "ip": f"192.168.20.{number % 250}", "rssi": -61},
        },
    )
    yield "desired", {"interval_s": 60, "pump": "on"}
    for cycle in count():
        if cycle % 10 == 0:
            yield "reported", {"pump": "off", "pump_runs": 118 + cycle}
            yield "reported", {"interval_s": 60, "wifi": {"rssi": -61 - cycle // 10}}
        if cycle % 5 == 0:
            yield "reported", {"battery": {"percent": 87 - cycle // 5, "volts": 3.92}}
        yield (
            "reported",
            {
                "temperature": round(21.37 + cycle / 10 + number % 7, 2),
                "humidity": round(48.25 - cycle / 4, 2),
                "pressure": 1013.25 + cycle % 3,
                "co2": 612 + 3 * cycle,
                "light": 350.5 + 10 * cycle,
                "soil": {"moisture": round(0.31 + cycle / 100, 2), "temperature": 18.9},
            },
        )
