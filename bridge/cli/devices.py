"""`syncbridge devices`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import click

from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mqtt import BrokerClient, Received
from bridge.cli.observed import RetainedTopics
from bridge.cli.options import command, json_option
from bridge.cli.published import read_published
from bridge.cli.terminal import print_note, print_table
from bridge.cli.text import age_text, compact_json
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.device.events import Twin

_MICROSECONDS_PER_SECOND = 1_000_000
_HEADER = ("DEVICE", "ONLINE", "VERSION", "CHANGED", "DELTA")
_ONLINE = {True: ("yes", "green"), False: ("no", "red"), None: ("-", "dim")}


@dataclass(frozen=True, slots=True)
class Row:
    """One twin in the list.

    Attributes:
        key: Device and name.
        twin: Its state.
        has_delta: Something that is desired is not reported yet.
    """

    key: TwinKey
    twin: Twin
    has_delta: bool


@command("devices")
@json_option
@pass_invocation
def devices(invocation: Invocation, as_json: bool) -> None:
    """List the twins, as the bridge has retained them at the broker.

    A named twin is listed as DEVICE/NAME. CHANGED is how long ago its version was made, and DELTA
    tells whether something that is desired is not reported yet. A device that never said whether
    it is online has a dash there.

    \b
    Examples:
      syncbridge devices
      syncbridge devices --json | jq -r '.[] | select(.online == false) | .device'
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    config = invocation.load().config
    topics = RetainedTopics(config.prefix)
    with BrokerClient.from_config(config) as client:
        # QoS 0, because brokers cut a long retained replay short at QoS 1.
        client.subscribe(topics.filters((), ""), qos=0)
        rows = collect(client.replay(), topics)
    if as_json:
        click.echo(compact_json([_object(row) for row in rows]))
    elif rows:
        now_us = time.time() * _MICROSECONDS_PER_SECOND
        print_table(_HEADER, [_cells(row, now_us) for row in rows])
    else:
        print_note(f"no twins below {config.prefix}/ on this broker")


def collect(messages: Iterable[Received], topics: RetainedTopics) -> list[Row]:
    """Put the retained states and deltas together, ordered by device and name."""
    states: dict[TwinKey, Twin] = {}
    with_delta: set[TwinKey] = set()
    for message in messages:
        observed = read_published(topics, message)
        if observed is None:
            continue
        if observed.delta is not None:
            (with_delta.add if observed.delta else with_delta.discard)(observed.key)
        elif observed.twin is not None:
            states[observed.key] = observed.twin
        else:
            states.pop(observed.key, None)
    return [Row(key, states[key], key in with_delta) for key in sorted(states)]


def _object(row: Row) -> JsonObject:
    return {
        "device": row.key.device,
        "name": row.key.name,
        "online": row.twin.online,
        "version": row.twin.version,
        "at": row.twin.at,
        "delta": row.has_delta,
    }


def _cells(row: Row, now_us: float) -> list[tuple[str, str]]:
    age_s = (now_us - row.twin.at) / _MICROSECONDS_PER_SECOND
    return [
        (str(row.key), "bold cyan"),
        _ONLINE[row.twin.online],
        (str(row.twin.version), ""),
        (age_text(age_s), "dim"),
        ("yes", "yellow") if row.has_delta else ("no", "dim"),
    ]
