"""Makes a store of many twins, each as the bridge would have made it from one report.

Every twin goes through the core, the codec and the store of the project; left out are the broker
and the waiting for it. All count as published, as after an ordinary stop.

    python -m benchmarks.seed_store --twins 1000000 twins.db
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from benchmarks.arguments import bounded
from benchmarks.fleet import MOST_DEVICES, device_name
from benchmarks.packets import MAXIMUM_PACKET_ID
from benchmarks.payloads import FIRST_NUMBER, make_payload
from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import NO_METADATA, Delivery, Update
from bridge.service.announcer import LAST_SINCE
from bridge.service.status import Status, new_status
from bridge.store.base import CommitBatch, HistoryBlock, StoredTwin, StoreLimits
from bridge.store.codec import encode_internals
from bridge.store.history_codec import block_of, encode_change
from bridge.store.sqlite import SqliteStore
from bridge.wire import outbound

BATCH_TWINS: Final = 5000

_LIMITS: Final = Limits()


def seed(path: Path, twins: int) -> None:
    """Write a store that must not exist yet, with so many twins.

    Raises:
        StoreError: It cannot be written.
    """
    store = SqliteStore.open(path, limits=StoreLimits())
    try:
        payload = make_payload(FIRST_NUMBER)
        for first in range(0, twins, BATCH_TWINS):
            clock = time.time_ns() // 1000
            devices = range(first, min(first + BATCH_TWINS, twins))
            rows = [_row(device, payload, clock) for device in devices]
            store.commit(CommitBatch([twin for twin, _ in rows], [history for _, history in rows]))
        store.set_metadata(LAST_SINCE, str(time.time_ns() // 1000))
    finally:
        store.close()


def last_word(path: Path) -> Status:
    """Return what a bridge with this store had left on the status topic when it was stopped.

    A broker that has it retained counts as one that has forgotten nothing.

    Raises:
        StoreError: The store cannot be read.
    """
    store = SqliteStore.open(path, limits=StoreLimits(), create=False)
    try:
        facts = store.metadata()
        since = int(facts[LAST_SINCE])
        return new_status(facts["instance"], since).through(since).offline()
    finally:
        store.close()


def _row(device: int, payload: bytes, clock: int) -> tuple[StoredTwin, HistoryBlock]:
    """Return a twin after its first report, and the change that this was."""
    key = TwinKey(device_name(device))
    twin = Twin(key)
    patch = orjson.loads(payload)
    delivery = Delivery(packet_id=device % MAXIMUM_PACKET_ID + 1)
    update = Update(
        key, "reported", key.device, patch, NO_METADATA, payload, delivery, len(payload)
    )
    change = reconcile(twin, update, clock, _LIMITS).change
    if change is None:
        raise ValueError(f"the first report of {key.device} changed nothing")
    row = StoredTwin(
        key,
        1,
        twin.version,
        twin.version,
        twin.exists,
        twin.at,
        outbound.state_json(twin),
        None,
        encode_internals(twin),
    )
    history = block_of(key, change.at, [encode_change(change)])
    return row, history


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a store from the command line."""
    parser = argparse.ArgumentParser(prog="seed_store", description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--twins", type=bounded(1, MOST_DEVICES), default=1_000_000)
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    seed(given.path, given.twins)
    size_mib = given.path.stat().st_size / 1024**2
    print(f"{given.twins:,} twins, {size_mib:,.0f} MiB, in {time.perf_counter() - began:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
