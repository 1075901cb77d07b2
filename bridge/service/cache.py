"""Twins in memory, the most recently used of them, with the store behind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import orjson

from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin

MEMORY_PER_STORED_BYTE: Final = 8
"""Bytes of memory that a decoded twin takes for each byte that it has in the store, rounded up."""

MEMORY_PER_TWIN: Final = 4096
"""Bytes of memory that a twin takes however small it is."""


class CachedTwin:
    """A twin with what the store has of it.

    Attributes:
        twin: The decoded twin, with every reconciled update.
        revision: Revision of its row in the store; 0 where there is none.
        published_version: The newest version that the broker has acknowledged.
        state: JSON on `state`, of the last commit; empty where the twin does not exist.
        delta: JSON on `delta`, of the last commit, or None.
        delta_state: The delta's `state` alone as JSON, to tell whether it has changed.
        internals_bytes: Size of its memory in the store.
    """

    __slots__ = (
        "delta",
        "delta_state",
        "internals_bytes",
        "published_version",
        "revision",
        "state",
        "twin",
    )

    def __init__(self, key: TwinKey, stored: StoredTwin | None, first_version: int = 0) -> None:
        if stored is None:
            self.twin = Twin(key)
            self.twin.version = first_version
        else:
            self.twin = decode_twin(stored)
        self.revision = 0 if stored is None else stored.revision
        self.published_version = 0 if stored is None else stored.published_version
        self.state = b"" if stored is None else stored.state
        self.delta = None if stored is None else stored.delta
        self.internals_bytes = 0 if stored is None else len(stored.internals)
        self.delta_state = b"{}"
        if self.delta is not None:
            self.delta_state = orjson.dumps(orjson.loads(self.delta)["state"])

    @property
    def memory_bytes(self) -> int:
        """Estimate of the memory that it takes."""
        return MEMORY_PER_TWIN + MEMORY_PER_STORED_BYTE * (len(self.state) + self.internals_bytes)


class TwinCache:
    """Least recently used first out, bounded by an estimate of memory.

    Twins of the batch in work are always there: `shrink` is called between batches.

    Args:
        limit_bytes: What the twins may take, as estimated.
        first_version: Version above which a twin begins that the store does not know. Not 0 after
            a restore: its key may have had versions that were made after the backup.
    """

    def __init__(self, limit_bytes: int, first_version: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self._first_version = first_version
        self._twins: OrderedDict[TwinKey, CachedTwin] = OrderedDict()
        self._sizes: dict[TwinKey, int] = {}
        self._total_bytes = 0

    def missing(self, keys: Iterable[TwinKey]) -> list[TwinKey]:
        """Return those keys that are not in memory."""
        return [key for key in keys if key not in self._twins]

    def put(self, key: TwinKey, stored: StoredTwin | None) -> CachedTwin:
        """Take a twin in, as the store has it (None: the store has nothing of it).

        Raises:
            StoreCorrupt: The stored twin cannot be decoded.
        """
        cached = CachedTwin(key, stored, self._first_version)
        self._twins[key] = cached
        return cached

    def get(self, key: TwinKey) -> CachedTwin | None:
        """Return a twin if it is in memory."""
        return self._twins.get(key)

    def use(self, key: TwinKey) -> CachedTwin:
        """Return a twin that is in memory, as the most recently used."""
        self._twins.move_to_end(key)
        return self._twins[key]

    def measure(self, key: TwinKey) -> None:
        """Note the present size of a twin."""
        size_bytes = self._twins[key].memory_bytes
        self._total_bytes += size_bytes - self._sizes.get(key, 0)
        self._sizes[key] = size_bytes

    def drop(self, keys: Iterable[TwinKey]) -> None:
        """Forget twins whose changes could not be committed."""
        for key in keys:
            self._twins.pop(key, None)
            self._total_bytes -= self._sizes.pop(key, 0)

    def shrink(self) -> None:
        """Forget the least recently used twins until the rest fits."""
        while self._total_bytes > self._limit_bytes:
            self.drop([next(iter(self._twins))])
