"""What the store and the broker hold at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.client import open_client
from benchmarks.packets import Publish
from bridge.core.topics import TwinKey
from bridge.store.base import HistoryRow, StoredTwin, StoreLimits
from bridge.store.sqlite import SqliteStore

_PAGE_TWINS: Final = 1000
_UNBOUNDED: Final = 10**9


@dataclass(frozen=True, slots=True)
class StoredFleet:
    """Everything that a store holds of the unnamed twins.

    Attributes:
        twins: Device -> its twin.
        history: Device -> its changes, the oldest first.
        quarantined: Topics and reasons of refused messages.
        faults: What the store's own check finds.
    """

    twins: dict[str, StoredTwin]
    history: dict[str, list[HistoryRow]]
    quarantined: list[str]
    faults: list[str]


def read_store(path: Path) -> StoredFleet:
    """Read a store that no bridge holds.

    Raises:
        StoreError: It cannot be read.
    """
    store = SqliteStore.open(path, limits=StoreLimits(history_changes=_UNBOUNDED))
    try:
        twins = _all_twins(store)
        history = {
            device: store.history(row.key, None, _UNBOUNDED)[::-1] for device, row in twins.items()
        }
        refused = [f"{row.topic}: {row.message}" for row in store.quarantine(_PAGE_TWINS)]
        return StoredFleet(twins, history, refused, store.check())
    finally:
        store.close()


def read_twins(path: Path) -> dict[str, StoredTwin]:
    """Return device -> its twin, of a store that no bridge holds.

    Raises:
        StoreError: It cannot be read.
    """
    store = SqliteStore.open(path, limits=StoreLimits())
    try:
        return _all_twins(store)
    finally:
        store.close()


def _all_twins(store: SqliteStore) -> dict[str, StoredTwin]:
    twins: dict[str, StoredTwin] = {}
    after: TwinKey | None = None
    while page := store.changed_since(0, after, _PAGE_TWINS):
        twins |= {row.key.device: row for row in page}
        after = page[-1].key
    return twins


async def read_retained(port: int, prefix: str) -> dict[str, bytes]:
    """Return topic -> payload of the twins' retained topics, as a new subscriber gets them.

    At QoS 0, because a broker may cut a large replay short at QoS 1.
    """
    found: dict[str, bytes] = {}

    def take(publish: Publish) -> None:
        if publish.retain:
            found[publish.topic] = publish.payload

    client = await open_client(port, "fresh-subscriber", on_publish=take)
    await client.subscribe([f"{prefix}/+/state", f"{prefix}/+/delta", f"{prefix}/+/presence"], 0)
    # Everything that was retained has been sent before the answer to this.
    await client.ping()
    await client.close()
    return found
