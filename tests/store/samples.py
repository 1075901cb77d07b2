"""Twins, changes and refused messages for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from bridge.core.topics import TwinKey
from bridge.store.base import CommitBatch, ConflictRow, HistoryBlock, HistoryRow, Store, StoredTwin
from bridge.store.history_codec import block_of, blocks_of
from bridge.store.quarantined import QuarantinedMessage

NOON = 1_795_000_000_000_000
"""A time, in µs."""


def twin(
    device: str = "lamp-1",
    *,
    name: str = "",
    revision: int = 1,
    version: int | None = None,
    published: int = 0,
    exists: bool = True,
    at: int = NOON,
    wanted: bool = False,
) -> StoredTwin:
    """Return a twin as the service would write it; its version is its revision by default."""
    version = revision if version is None else version
    state = {"version": version, "at": at, "reported": {"level": 0.0}, "desired": {}}
    delta = {"version": version, "at": at, "state": {"on": True}}
    return StoredTwin(
        TwinKey(device, name),
        revision,
        version,
        published,
        exists,
        at,
        orjson.dumps(state) if exists else b"",
        orjson.dumps(delta) if wanted and exists else None,
        f"internals of {device}/{name} {revision}\0".encode(),
    )


def change(version: int, device: str = "lamp-1", *, name: str = "", at: int = NOON) -> HistoryRow:
    """Return one change of a twin."""
    patch = orjson.dumps({"level": version})
    previous = orjson.dumps({"level": None})
    return HistoryRow(
        TwinKey(device, name), version, at, at - 1, "app-1", "desired", patch, previous
    )


def blocks(*changes: HistoryRow) -> list[HistoryBlock]:
    """Return changes as a commit has them: those of each twin together."""
    of_twin: dict[TwinKey, list[HistoryBlock]] = {}
    for block in blocks_of(changes):
        of_twin.setdefault(block.key, []).append(block)
    return [
        block_of(key, parts[-1].at, [part.changes for part in parts])
        for key, parts in of_twin.items()
    ]


def conflict(version: int, device: str = "lamp-1", *, name: str = "") -> ConflictRow:
    """Return one entry of the conflict log: a removal that lost."""
    return ConflictRow(
        TwinKey(device, name),
        version,
        NOON + version,
        "desired",
        b'["color","r"]',
        "device",
        b'{"g":1.0}',
        device,
        NOON - 1,
        b"null",
        "app-1",
        NOON - 2,
    )


def refused(number: int, payload: bytes = b"[1]") -> QuarantinedMessage:
    """Return a refused message."""
    device = f"d{number}"
    return QuarantinedMessage(
        NOON + number,
        f"sync/{device}/report",
        payload,
        400,
        "not_an_object",
        "an array",
        size_bytes=len(payload),
        device=device,
        writer=device,
    )


def kept(store: Store, limit: int = 1000) -> list[QuarantinedMessage]:
    """Return the quarantined messages, the newest first, without the ids that the store gave."""
    return [message._replace(id=0) for message in store.quarantine(limit)]


def commit(
    store: Store,
    twins: Iterable[StoredTwin] = (),
    history: Sequence[HistoryRow] = (),
    conflicts: Sequence[ConflictRow] = (),
) -> None:
    """Commit, where nothing may be stale."""
    batch = CommitBatch(twins=[*twins], history=blocks(*history), conflicts=conflicts)
    assert store.commit(batch) == frozenset()


def load_one(store: Store, device: str = "lamp-1", name: str = "") -> StoredTwin:
    """Load one twin that is there."""
    key = TwinKey(device, name)
    return store.load([key])[key]


def all_pages(store: Store, limit: int = 2) -> list[StoredTwin]:
    """Return all unpublished twins, page by page."""
    found: list[StoredTwin] = []
    while page := store.unpublished(found[-1].key if found else None, limit):
        found += page
    return found
