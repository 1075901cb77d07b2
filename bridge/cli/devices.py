"""`syncbridge devices`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from bridge.cli.given_keys import GivenKeys, keys_option, read_key
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mqtt import BrokerClient, Received
from bridge.cli.observed import RetainedTopics, SealedTopic
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
        twin: Its state; None where it is sealed, and no key was given that opens it.
        has_delta: Something that is desired is not reported yet.
    """

    key: TwinKey
    twin: Twin | None
    has_delta: bool


@command("devices")
@keys_option
@json_option
@pass_invocation
def devices(invocation: Invocation, key_files: tuple[Path, ...], as_json: bool) -> None:
    """List the twins, as the bridge has retained them at the broker.

    A named twin is listed as DEVICE/NAME. CHANGED is how long ago its version was made, and DELTA
    tells whether something that is desired is not reported yet. A device that never said whether
    it is online has a dash there, and what is sealed has dashes where no --key opens it.

    \b
    Examples:
      syncbridge devices
      syncbridge devices --key lamp-1.key --key hall.key
      syncbridge devices --json | jq -r '.[] | select(.online == false) | .device'
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    config = invocation.load().config
    topics = RetainedTopics(config.prefix, GivenKeys([read_key(path) for path in key_files]))
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
    sealed = sum(row.twin is None for row in rows)
    if sealed:
        print_note(
            f"{sealed} of {len(rows)} twins are sealed and could not be read: --key FILE with the "
            "key of a device, or of its group, opens them"
        )


def collect(messages: Iterable[Received], topics: RetainedTopics) -> list[Row]:
    """Put the retained states and deltas together, ordered by device and name."""
    states: dict[TwinKey, Twin | None] = {}
    with_delta: set[TwinKey] = set()

    def note_sealed(topic: SealedTopic) -> None:
        if topic.verb == "state":
            states[topic.key] = None
        else:
            with_delta.add(topic.key)

    for message in messages:
        observed = read_published(topics, message, note_sealed)
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
    twin = row.twin
    return {
        "device": row.key.device,
        "name": row.key.name,
        "online": None if twin is None else twin.online,
        "version": None if twin is None else twin.version,
        "at": None if twin is None else twin.at,
        "delta": row.has_delta,
        "sealed": twin is None,
    }


def _cells(row: Row, now_us: float) -> list[tuple[str, str]]:
    twin = row.twin
    device = (str(row.key), "bold cyan")
    delta = ("yes", "yellow") if row.has_delta else ("no", "dim")
    if twin is None:
        return [device, ("-", "dim"), ("sealed", "magenta"), ("-", "dim"), delta]
    age_s = (now_us - twin.at) / _MICROSECONDS_PER_SECOND
    version, age = (str(twin.version), ""), (age_text(age_s), "dim")
    return [device, _ONLINE[twin.online], version, age, delta]
