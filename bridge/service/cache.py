"""Twins in memory, the most recently used of them, with the store behind.

Those that are written often stay decoded, within a budget of their own; the others are kept as the
bytes that the store has, which take a fourth of the memory, and are decoded when they are used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from bridge.core.model import Models
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.service.cached_twin import MEMORY_PER_IDLE_TWIN, CachedTwin, pack, unpack
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin

DECODED_SHARE: Final = 0.5
"""Part of the memory that decoded twins may take. They spare the decoding of each update, which is
a small part of its cost; the rest spares a read from the store, for four times as many twins."""


class TwinCache:
    """Least recently used first out, bounded by an estimate of memory.

    Twins of the batch in work are always there, decoded: `shrink` is called between batches. Then
    each of them stays decoded if there is room, or if it had been used more recently than the
    decoded one that has not been used for longest, which goes in its place. So a fleet that is
    too large for the budget does not push itself out of it, device by device.

    Args:
        limit_bytes: What the twins may take, as estimated.
        first_version: Version above which a twin begins that the store does not know. Not 0 after
            a restore: its key may have had versions that were made after the backup.
        policies: Which conflict policy holds where.
        models: What sections have to fit; None where that is nothing anywhere.
        decoded_share: Part of the memory that decoded twins may take.
    """

    def __init__(
        self,
        limit_bytes: int,
        first_version: int = 0,
        policies: Policies = NO_POLICIES,
        models: Models | None = None,
        *,
        decoded_share: float = DECODED_SHARE,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._decoded_limit_bytes = int(limit_bytes * decoded_share)
        self._first_version = first_version
        self._policies = policies
        self._models = models
        self._at_work: dict[TwinKey, CachedTwin] = {}
        self._decoded: OrderedDict[TwinKey, CachedTwin] = OrderedDict()
        self._idle: OrderedDict[TwinKey, bytes] = OrderedDict()
        self._decoded_bytes = 0
        self._idle_bytes = 0
        self._batch = 1
        self._has_new = False

    @property
    def models(self) -> Models | None:
        """What sections have to fit, as given."""
        return self._models

    @property
    def memory_bytes(self) -> int:
        """Estimate of the memory that all twins take between batches."""
        return self._decoded_bytes + self._idle_bytes

    @property
    def limit_bytes(self) -> int:
        """What they may take."""
        return self._limit_bytes

    @property
    def twins(self) -> tuple[int, int]:
        """How many are decoded, and how many are kept as bytes."""
        return len(self._decoded), len(self._idle)

    def missing(self, keys: Iterable[TwinKey]) -> list[TwinKey]:
        """Return those keys that are not in memory."""
        decoded, at_work, idle = self._decoded, self._at_work, self._idle
        return [
            key for key in keys if key not in decoded and key not in at_work and key not in idle
        ]

    def new(self, keys: Iterable[TwinKey]) -> list[TwinKey]:
        """Return those keys, of twins that are in memory, of which the store has nothing."""
        # Nothing is kept of such a twin after its batch.
        if not self._has_new:
            return []
        return [key for key in keys if self.use(key).revision == 0]

    def __contains__(self, key: TwinKey) -> bool:
        """Tell whether a twin is in memory."""
        return key in self._decoded or key in self._at_work or key in self._idle

    def put(self, key: TwinKey, stored: StoredTwin | None) -> CachedTwin:
        """Take a twin in, as the store has it (None: the store has nothing of it).

        Raises:
            TwinCorrupt: The stored twin cannot be decoded.
        """
        if stored is None:
            twin = Twin(key, self._policies)
            # What a reader knows of it is from before the restore, and means something else.
            twin.version = twin.horizon = self._first_version
            twin.reported.version = twin.desired.version = self._first_version
            cached = CachedTwin(twin)
            self._has_new = True
        else:
            # With the key that the table holds anyway.
            stored = stored._replace(key=key)
            cached = CachedTwin(decode_twin(stored, self._policies), stored)
        self._put_to_work(key, cached)
        return cached

    def use(self, key: TwinKey) -> CachedTwin:
        """Return a twin that is in memory, as the most recently used."""
        cached = self._decoded.get(key)
        if cached is not None:
            if cached.used_in != self._batch:
                self._decoded.move_to_end(key)
                cached.used_in = self._batch
            return cached
        cached = self._at_work.get(key)
        if cached is None:
            packed = self._idle.pop(key)
            self._idle_bytes -= _idle_bytes(packed)
            cached = unpack(key, packed, self._policies)
            self._put_to_work(key, cached)
        return cached

    def _put_to_work(self, key: TwinKey, cached: CachedTwin) -> None:
        models = self._models
        if models is not None:
            cached.twin.reported.model = models.model(key, "reported")
            cached.twin.desired.model = models.model(key, "desired")
        self._at_work[key] = cached

    def measure(self, key: TwinKey) -> None:
        """Note the present size of a twin, which has been committed."""
        cached = self._decoded.get(key)
        if cached is not None:
            self._decoded_bytes += cached.count()
            cached.let_go()

    def drop(self, keys: Iterable[TwinKey]) -> None:
        """Forget twins whose changes could not be committed."""
        for key in keys:
            self._at_work.pop(key, None)
            cached = self._decoded.pop(key, None)
            if cached is not None:
                self._decoded_bytes -= cached.memory_bytes
            packed = self._idle.pop(key, None)
            if packed is not None:
                self._idle_bytes -= _idle_bytes(packed)

    def shrink(self) -> None:
        """Put the twins of the batch away, and forget the least recently used until all fits."""
        at_work, self._at_work = self._at_work, {}
        self._has_new = False
        for key, cached in at_work.items():
            if cached.revision:  # else the store knows nothing of it, and there is nothing to keep
                self._put_away(key, cached)
        while self._decoded_bytes > self._decoded_limit_bytes:
            self._pack_oldest()
        while self._idle and self.memory_bytes > self._limit_bytes:
            _, packed = self._idle.popitem(last=False)
            self._idle_bytes -= _idle_bytes(packed)
        self._batch += 1

    def _put_away(self, key: TwinKey, cached: CachedTwin) -> None:
        used_before, cached.used_in = cached.used_in, self._batch
        size_bytes = cached.count()
        room = self._decoded_limit_bytes - self._decoded_bytes
        if size_bytes <= room or used_before > self._oldest_use():
            self._decoded[key] = cached
            self._decoded_bytes += size_bytes
            cached.let_go()
        else:
            self._pack(key, cached)

    def _oldest_use(self) -> int:
        """Return the batch that last used the decoded twin that was unused for longest."""
        return next(iter(self._decoded.values())).used_in if self._decoded else self._batch

    def _pack_oldest(self) -> None:
        key, cached = self._decoded.popitem(last=False)
        self._decoded_bytes -= cached.memory_bytes
        self._pack(key, cached)

    def _pack(self, key: TwinKey, cached: CachedTwin) -> None:
        packed = pack(cached)
        self._idle[key] = packed
        self._idle_bytes += _idle_bytes(packed)


def _idle_bytes(packed: bytes) -> int:
    return MEMORY_PER_IDLE_TWIN + len(packed)
