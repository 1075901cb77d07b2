"""What must hold at the end of a run, checked one invariant at a time.

Every function yields one line for each violation, naming the device and the update; nothing is
yielded where all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from benchmarks.observer import Reply
from benchmarks.stored import StoredFleet
from benchmarks.updates import COUNTER, Stream
from bridge.store.base import HistoryRow


def check_acknowledged(streams: Iterable[Stream]) -> Iterator[str]:
    """The broker acknowledged every update, so that none may be missing."""
    for stream in streams:
        missing = set(range(1, stream.sent + 1)) - stream.acknowledged
        if missing:
            yield f"{stream}: the broker never acknowledged updates {_shown(missing)}"


def check_twins(streams: Iterable[Stream], stored: StoredFleet) -> Iterator[str]:
    """Each twin is exactly what all of its updates make."""
    for stream in streams:
        expected = stream.expected()
        twin = stored.twins.get(stream.device)
        if twin is None:
            if expected:
                yield f"{stream}: lost, there is no twin, and {stream.sent} updates were sent"
            continue
        found = orjson.loads(twin.state)[stream.section]
        for name, value in expected.items():
            if found.get(name) != value:
                yield f"{stream}: update {value} is lost: {name} is {found.get(name)}"
        for name in found.keys() - expected.keys():
            yield f"{stream}: {name} is {found[name]}, which no update has set"


def check_history(
    streams: Iterable[Stream], stored: StoredFleet, replays_at_most: int
) -> Iterator[str]:
    """Each update made its version, once, in its turn: a later one cannot hide a lost one.

    Args:
        streams: What was sent.
        stored: What the store holds.
        replays_at_most: How often the broker may have delivered again what was unacknowledged.
            Updates without `seq` are then applied again, and so is everything behind them.
    """
    for stream in streams:
        rows = stored.history.get(stream.device, [])
        numbers = [number for number in _numbers(rows, stream.section) if number is not None]
        missing = set(range(1, stream.sent + 1)) - set(numbers)
        if missing:
            yield f"{stream}: updates {_shown(missing)} are lost: the history does not have them"
        elif stream.numbered:
            yield from _in_turn(stream, numbers)
        else:
            yield from _in_turn_but_for_replays(stream, numbers, replays_at_most)


def _in_turn(stream: Stream, numbers: Sequence[int]) -> Iterator[str]:
    for before, number in zip([0, *numbers], numbers, strict=False):
        if number != before + 1:
            yield f"{stream}: update {number} was applied after update {before}"


def _in_turn_but_for_replays(
    stream: Stream, numbers: Sequence[int], replays_at_most: int
) -> Iterator[str]:
    replays = 0
    for before, number in zip([0, *numbers], numbers, strict=False):
        if number <= before:
            replays += 1
        elif number != before + 1:
            yield f"{stream}: update {number} was applied after update {before}"
    if replays > replays_at_most:
        yield f"{stream}: content went back {replays} times in {replays_at_most} redeliveries"


def check_history_in_any_turn(
    streams: Iterable[Stream], stored: StoredFleet, replies: Iterable[Reply]
) -> Iterator[str]:
    """Each update made its version, or was answered as superseded, whenever it came.

    For devices that send again until they are answered: the broker may have lost an update that
    came before others, so that it arrives after them, and loses its counter to theirs.
    """
    superseded = {
        (reply.device, reply.requester, reply.request_id) for reply in replies if reply.superseded
    }
    for stream in streams:
        made: dict[int, int] = {}
        for row in stored.history.get(stream.device, []):
            if row.section == stream.section:
                number = max(orjson.loads(row.patch).values())
                made[number] = made.get(number, 0) + 1
        for number in range(1, stream.sent + 1):
            times = made.get(number, 0)
            if times > 1:
                yield f"{stream}: update {number} was applied {times} times"
            elif not times and (stream.device, stream.writer, str(number)) not in superseded:
                yield f"{stream}: update {number} was answered, and the history does not have it"


def check_versions(stored: StoredFleet) -> Iterator[str]:
    """Versions are those from 1 on, without a hole and none of them twice, up to the twin's."""
    for device, twin in stored.twins.items():
        versions = [row.version for row in stored.history[device]]
        for before, version in zip([0, *versions], versions, strict=False):
            if version != before + 1:
                yield f"{device}: in the history, version {version} follows version {before}"
        if versions and versions[-1] != twin.version:
            yield f"{device}: the twin is at version {twin.version}, its history at {versions[-1]}"
        if twin.published_version != twin.version:
            yield (
                f"{device}: version {twin.version} is marked as unpublished "
                f"({twin.published_version}) after an end in good order"
            )


def check_published(
    counters: Mapping[tuple[str, int, str], int], stored: StoredFleet
) -> Iterator[str]:
    """Whatever was published had been committed: the history made the same content."""
    committed: dict[tuple[str, int, str], int] = {}
    for device, rows in stored.history.items():
        for section in ("reported", "desired"):
            newest = 0
            for row, number in zip(rows, _numbers(rows, section), strict=True):
                newest = newest if number is None else number
                committed[device, row.version, section] = newest
    for key, counter in counters.items():
        device, version, section = key
        if committed.get(key) != counter:
            yield (
                f"{device}: version {version} was published with update {counter} of {section}, "
                f"and committed with {committed.get(key)}"
            )


def check_replies(
    replies: Iterable[Reply], streams: Iterable[Stream], stored: StoredFleet
) -> Iterator[str]:
    """Whatever was answered with `ok` had been committed, at the version that was answered."""
    sections = {(stream.device, stream.writer): stream for stream in streams}
    for reply in replies:
        stream = sections[reply.device, reply.requester]
        if reply.duplicate:
            continue  # The version is the present one, not that of the update.
        rows = stored.history.get(reply.device, [])
        row = rows[reply.version - 1] if 0 < reply.version <= len(rows) else None
        number = None if row is None else _number(row, stream.section)
        if str(number) != reply.request_id:
            yield (
                f"{stream}: update {reply.request_id} was answered with version {reply.version}, "
                f"which holds update {number}"
            )


def check_retained(
    retained: Mapping[str, bytes], stored: StoredFleet, prefix: str
) -> Iterator[str]:
    """The broker's retained topics are the store's documents, byte for byte, and nothing else."""
    wanted: dict[str, bytes] = {}
    for device, twin in stored.twins.items():
        if twin.exists:
            wanted[f"{prefix}/{device}/state"] = twin.state
        if twin.delta is not None:
            wanted[f"{prefix}/{device}/delta"] = twin.delta
    for topic in sorted(wanted.keys() | retained.keys()):
        found, expected = retained.get(topic), wanted.get(topic)
        if found != expected:
            yield f"{topic}: retained is {_text(found)}, the store has {_text(expected)}"


def check_health(stored: StoredFleet) -> Iterator[str]:
    """The store is whole, and nothing was refused."""
    for fault in stored.faults:
        yield f"the store's check: {fault}"
    for refused in stored.quarantined:
        yield f"refused: {refused}"


def _numbers(rows: Iterable[HistoryRow], section: str) -> list[int | None]:
    return [_number(row, section) for row in rows]


def _number(row: HistoryRow, section: str) -> int | None:
    if row.section != section:
        return None
    number: int | None = orjson.loads(row.patch).get(COUNTER)
    return number


def _shown(numbers: set[int]) -> str:
    first = sorted(numbers)[:5]
    more = len(numbers) - len(first)
    return ", ".join(map(str, first)) + (f" and {more} more" if more else "")


def _text(payload: bytes | None) -> str:
    return "nothing" if payload is None else payload.decode(errors="replace")
