"""What a twin was, read from a store page by page, while commits go on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TypeAlias

import orjson

from bridge.api.administration import Administration
from bridge.api.points import VERSIONS_END, point_text, time_text
from bridge.api.problems import RequestProblem
from bridge.core.reconcile import Change
from bridge.core.section import JsonObject
from bridge.core.timeline import Difference, Missing, Moment, Point, Rewind, difference_of
from bridge.core.topics import TwinKey
from bridge.store.base import HistoryRow, Store, StoredTwin
from bridge.store.restore import VERSION_STEP

ROWS_PER_PAGE = 100
"""Changes read in one turn of the store's thread: some 30 KiB, and 13 MiB where each rewrites a
twin at its limit."""

Answer: TypeAlias = Mapping[str, object]

_SECTIONS = ("reported", "desired")


async def load(administration: Administration, key: TwinKey) -> StoredTwin:
    """Return a twin as it is stored, deleted ones too.

    Raises:
        RequestProblem: There is no such twin.
    """
    stored = await administration.run_store(lambda store: store.load([key]).get(key))
    if stored is None:
        raise RequestProblem(HTTPStatus.NOT_FOUND, f"there is no twin {key}")
    return stored


def present(stored: StoredTwin) -> Moment:
    """Return what a twin is now."""
    state = orjson.loads(stored.state) if stored.exists else {}
    return Moment(
        stored.version,
        stored.at,
        stored.exists,
        state.get("reported", {}),
        state.get("desired", {}),
    )


async def find(administration: Administration, key: TwinKey, point: Point, now: int) -> Moment:
    """Return what a twin was at a version or a time; perhaps that it did not exist.

    Args:
        administration: The holder of the store.
        key: The twin.
        point: Where to look.
        now: The time, in µs since the epoch: what is to come is not known.

    Raises:
        RequestProblem: There is no such twin, or nothing is known of that point.
    """
    stored = await load(administration, key)
    if point.kind == "time" and point.number > max(now, stored.at):
        raise RequestProblem(HTTPStatus.NOT_FOUND, f"{point_text(point)} has not come yet")
    rewind = Rewind(present(stored), point, VERSION_STEP)
    found = rewind.start()
    while found is None:
        below_version = rewind.below_version

        def read(store: Store, below_version: int = below_version) -> list[HistoryRow]:
            return store.history(key, below_version, ROWS_PER_PAGE)

        rows = await administration.run_store(read)
        # Not on the event loop: a page of a large twin takes some 100 ms to decode.
        found = await asyncio.to_thread(_take, rewind, rows)
    if isinstance(found, Missing):
        raise _problem(key, point, found)
    return found


def _take(rewind: Rewind, rows: Sequence[HistoryRow]) -> Moment | Missing | None:
    return rewind.take([_change(row) for row in rows])


def _change(row: HistoryRow) -> Change:
    return Change(
        row.version,
        row.at,
        row.stamp,
        row.writer,
        row.section,
        orjson.loads(row.patch),
        orjson.loads(row.previous),
    )


def _problem(key: TwinKey, point: Point, missing: Missing) -> RequestProblem:
    """Say why nothing is known, and from where on something is."""
    if missing.why == "ahead":
        looks_like_time = 10**9 <= point.number < VERSIONS_END
        return RequestProblem(
            HTTPStatus.NOT_FOUND,
            f"twin {key} is at version {missing.version}: it has no version {point.number} yet",
            hint="a time is written in µs, or as 2026-11-25T10:00:00Z" if looks_like_time else "",
        )
    since = f"version {missing.version}, of {time_text(missing.at)}"
    if missing.why == "broken":
        return RequestProblem(
            HTTPStatus.GONE,
            f"the history of twin {key} has a hole below {since}: nothing before it can be told",
            hint="was it switched off for a while, with store.history_changes at 0?",
        )
    return RequestProblem(
        HTTPStatus.GONE,
        f"what twin {key} was at {point_text(point)} is not known any more: its history begins "
        f"with the change of {since}",
        hint="store.history_changes and store.history_days set how much is kept",
    )


async def find_existing(
    administration: Administration, key: TwinKey, point: Point, now: int
) -> Moment:
    """Return what a twin was, where it existed; see `find`.

    Raises:
        RequestProblem: It did not exist then, and everything that `find` raises.
    """
    moment = await find(administration, key, point, now)
    if moment.exists:
        return moment
    why = f"it was deleted on {time_text(moment.at)}" if moment.at else "it had no version yet"
    raise RequestProblem(
        HTTPStatus.NOT_FOUND, f"twin {key} did not exist at {point_text(point)}: {why}"
    )


async def read_moment(
    administration: Administration, key: TwinKey, point: Point | None, now: int
) -> JsonObject:
    """Answer with a twin as it was at a point, or, without one, as it is."""
    if point is None:
        point = Point("version", (await load(administration, key)).version)
    moment = await find_existing(administration, key, point, now)
    return {
        "device": key.device,
        "name": key.name,
        "version": moment.version,
        "at": moment.at,
        "reported": moment.reported,
        "desired": moment.desired,
    }


async def read_difference(
    administration: Administration, key: TwinKey, one: Point, other: Point, now: int
) -> Answer:
    """Answer with what changed between two points; one where it did not exist counts as empty."""
    start = await find(administration, key, one, now)
    end = await find(administration, key, other, now)
    difference = difference_of(start, end)
    return {
        "device": key.device,
        "name": key.name,
        "from": _place(start),
        "to": _place(end),
        **{section: _patches(difference, section) for section in _SECTIONS},
    }


def _place(moment: Moment) -> Answer:
    return {"version": moment.version, "at": moment.at, "exists": moment.exists}


def _patches(difference: Difference, section: str) -> Mapping[str, JsonObject]:
    patch, previous = getattr(difference, section)
    return {"patch": patch, "previous": previous}
