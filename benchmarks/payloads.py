"""What the benchmarks' devices send, and what their states are to be in the end."""

from __future__ import annotations

from typing import Final

import orjson

PAYLOAD_BYTES: Final = 150
"""Size of every patch."""

LARGE_BYTES: Final = 4096
"""Size of `reported` where it is large: JSON, the patch's fields included."""

FIRST_NUMBER: Final = 100_000
"""Numbers begin here, so that all have as many digits."""

LAST_NUMBER: Final = 999_999

NUMBER_DIGITS: Final = 6

_WAYS: Final = ("heating", "cooling", "standby")  # As many letters each.


def make_payload(number: int) -> bytes:
    """Return a patch of `PAYLOAD_BYTES`: what a room's controller might send.

    Raises:
        ValueError: The number is outside `FIRST_NUMBER` and `LAST_NUMBER`.
    """
    if not FIRST_NUMBER <= number <= LAST_NUMBER:
        raise ValueError(f"number {number} does not fit into the payload")
    head = (
        f'{{"n":{number},"temperature":{20 + number % 997 / 100:.2f},'
        f'"humidity":{40 + number % 499 / 10:.1f},"mode":"{_WAYS[number % 3]}",'
        f'"valve":{10 + number % 89},"target":21.5,"battery":3.01,"firmware":"'
    )
    return (head + "x" * (PAYLOAD_BYTES - len(head) - 2) + '"}').encode()


def make_large_payload(number: int) -> bytes:
    """Return a report of `LARGE_BYTES`: a patch, and beside it what a controller says once.

    The rest are the points of a heating schedule, a small object each, so that the document has as
    many fields as such a document would, and is not one long text.
    """
    document = orjson.loads(make_payload(number))
    schedule: dict[str, dict[str, object]] = {}
    document["schedule"] = schedule
    while len(orjson.dumps(document)) < LARGE_BYTES - 100:
        point = len(schedule)
        schedule[f"point-{point:03}"] = {
            "from": f"{point // 4 % 24:02}:{point % 4 * 15:02}",
            "target": 16 + point % 12 / 2,
            "mode": _WAYS[point % 3],
        }
    document["note"] = ""
    document["note"] = "x" * (LARGE_BYTES - len(orjson.dumps(document)))
    return orjson.dumps(document)


def merged(first: bytes, last: bytes) -> object:
    """Return what a device reports in the end.

    Args:
        first: What it reported first, with every field that it has.
        last: Its last patch, which sets fields of the top level only.
    """
    return {**orjson.loads(first), **orjson.loads(last)}
