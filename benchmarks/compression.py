"""What compression saves of a patch of 150 bytes, and what it costs, next to the same in clear.

A dictionary is trained as `syncbridge dictionary train` does it, from stored states of another part
of the fleet than the one that is measured. The kinds take turns in short slices, and the fastest
slice of each counts.

    python -m benchmarks.compression --rounds 50 --json compression.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from benchmarks.arguments import bounded
from benchmarks.payloads import FIRST_NUMBER, make_payload
from benchmarks.report import save_json
from bridge.core.compression import COMPRESSIONS, Compression
from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import NO_METADATA, Update
from bridge.wire.compression import compress
from bridge.wire.dictionaries import Dictionaries, train
from bridge.wire.inbound import decode_body
from bridge.wire.training import samples_of

TWINS_TRAINED: Final = 2000
DICTIONARY_BYTES: Final = 8 * 1024
SLICE: Final = 200
LIMITS: Final = Limits()
KEY: Final = TwinKey("room-1")
NOW: Final = 1_795_000_000_000_000


class Figures(NamedTuple):
    """Of one kind of compression.

    Attributes:
        size_bytes: Of a payload, on average.
        percent: Of the payload in clear.
        pack_us: CPU to compress one.
        take_us: CPU to decode one and to reconcile its twin with it.
    """

    size_bytes: float
    percent: float
    pack_us: float
    take_us: float


def make_dictionaries() -> Dictionaries:
    """Return a dictionary of a fleet of which no measured payload is a part."""
    states = []
    for number in range(TWINS_TRAINED):
        reported = orjson.loads(make_payload(FIRST_NUMBER + 500_000 + 37 * number))
        state = {"version": number, "at": NOW, "reported": reported, "desired": {}}
        states.append((str(number), orjson.dumps(state)))
    return Dictionaries([train(samples_of(states), DICTIONARY_BYTES)])


def measure(rounds: int, *, rest_is_text: bool = True) -> dict[Compression, Figures]:
    """Return the figures of each kind.

    Args:
        rounds: How many slices of each.
        rest_is_text: The payloads as the other benchmarks send them, with a text that fills them.
    """
    dictionaries = make_dictionaries()
    payloads = [make_payload(FIRST_NUMBER + 11 * number) for number in range(SLICE)]
    if not rest_is_text:
        payloads = [_without_filling(payload) for payload in payloads]
    clear_bytes = sum(map(len, payloads)) / SLICE
    packed = {
        how: [compress(payload, how, dictionaries) for payload in payloads] for how in COMPRESSIONS
    }
    pack_us = dict.fromkeys(COMPRESSIONS, float("inf"))
    take_us = dict.fromkeys(COMPRESSIONS, float("inf"))
    twins = {how: Twin(KEY) for how in COMPRESSIONS}
    for _ in range(rounds):
        for how in COMPRESSIONS:
            began = time.process_time()
            for payload in payloads:
                compress(payload, how, dictionaries)
            between = time.process_time()
            _take(packed[how], dictionaries, twins[how])
            ended = time.process_time()
            pack_us[how] = min(pack_us[how], (between - began) / SLICE * 1e6)
            take_us[how] = min(take_us[how], (ended - between) / SLICE * 1e6)
    sizes = {how: sum(map(len, packed[how])) / SLICE for how in COMPRESSIONS}
    return {
        how: Figures(sizes[how], 100 * sizes[how] / clear_bytes, pack_us[how], take_us[how])
        for how in COMPRESSIONS
    }


def _without_filling(payload: bytes) -> bytes:
    """Return a payload with a version in place of the text that fills it."""
    return payload[: payload.index(b'"firmware"')] + b'"firmware":"2.14.1"}'


def _take(payloads: Sequence[bytes], dictionaries: Dictionaries, twin: Twin) -> None:
    for payload in payloads:
        body = decode_body(payload, LIMITS, dictionaries)
        update = Update(KEY, "reported", KEY.device, body.state, NO_METADATA, body.plain)
        reconcile(twin, update, NOW, LIMITS)
    # As after a commit, which knows the exact size of what it has written.
    twin.bytes_at_most = twin.keys_at_most = 0


def main(words: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__)
    parser.add_argument("--rounds", type=bounded(1, 10_000), default=50)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(words)
    results = {
        "150 bytes": measure(arguments.rounds),
        "without the text that fills them": measure(arguments.rounds, rest_is_text=False),
    }
    for title, figures in results.items():
        print(f"{title}:")
        for how, (size_bytes, percent, pack_us, take_us) in figures.items():
            print(
                f"  {how:10} {size_bytes:6.1f} bytes {percent:5.1f} %  compressed in "
                f"{pack_us:5.1f} µs, decoded and reconciled in {take_us:5.1f} µs "
                f"({1e6 / take_us:,.0f} a second)"
            )
    if arguments.json is not None:
        save_json(
            arguments.json,
            {
                title: {how: row._asdict() for how, row in figures.items()}
                for title, figures in results.items()
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
