"""One twin in memory: decoded while it is in use, and otherwise as the bytes that the store has."""

from __future__ import annotations

from struct import Struct
from typing import Final

from bridge.core.policy import Policies
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin, encode_internals
from bridge.wire import outbound

MEMORY_PER_TWIN: Final = 400
MEMORY_PER_OBJECT: Final = 400
MEMORY_PER_MEMBER: Final = 40
MEMORY_PER_ITEM: Final = 32
MEMORY_PER_INTERNAL_BYTE: Final = 14
"""Bytes of memory that a decoded twin takes: for itself; for each object in its state, with the
table of registers beside; for each colon and each comma there, beside the characters themselves;
and for each byte of its memory in the store beyond `INTERNALS_BYTES_MIN`. Measured."""

INTERNALS_BYTES_MIN: Final = 80
"""Bytes that even the memory of a twin with one field has; `MEMORY_PER_OBJECT` covers them."""

COUNT_AGAIN: Final = 1 / 8
"""Change of a twin's size in the store after which its memory is counted anew."""

MEMORY_PER_IDLE_TWIN: Final = 320
"""Bytes of memory that a twin takes beside its own, when it is kept as bytes: its key, and its
place in the table."""

# Revision, version, time, the batch that used it last, lengths of the state and the delta, and
# whether it exists and has a delta. What follows are state, delta and internals.
_HEAD: Final = Struct("<QQQQII??")

_DELTA_STATE: Final = b'"state":'


class CachedTwin:
    """A decoded twin with what the store has of it.

    Attributes:
        twin: The decoded twin, with every reconciled update.
        revision: Revision of its row in the store; 0 where there is none.
        delta: JSON on `delta`, of the last commit, or None.
        internals: Its memory as the store has it; empty where that was let go.
        stored_bytes: Size of its state and its memory in the store.
        memory_bytes: Estimate of what it takes in memory; see `count`.
        used_in: Number of the batch that last used it; 0 where none did.
    """

    __slots__ = (
        "_counted_stored_bytes",
        "_state",
        "delta",
        "internals",
        "memory_bytes",
        "revision",
        "stored_bytes",
        "twin",
        "used_in",
    )

    def __init__(self, twin: Twin, stored: StoredTwin | None = None) -> None:
        self.twin = twin
        self.revision = 0
        self._state: bytes | None = b""
        self.delta: bytes | None = None
        self.internals = b""
        self.stored_bytes = 0
        self.memory_bytes = 0
        self._counted_stored_bytes = 0
        self.used_in = 0
        if stored is not None:
            self.revision = stored.revision
            self.delta = stored.delta
            self.keep(stored.state, stored.internals)

    @property
    def state(self) -> bytes:
        """JSON on `state`, of the last commit; empty where the twin does not exist."""
        if self._state is None:
            self._state = outbound.state_json(self.twin) if self.twin.exists else b""
        return self._state

    def keep(self, state: bytes, internals: bytes) -> None:
        """Take what is, or is to be, in the store."""
        self._state = state
        self.internals = internals
        self.stored_bytes = len(state) + len(internals)

    def let_go(self) -> None:
        """Let go what can be encoded again: it takes as much memory as several fields."""
        self._state = None
        self.internals = b""

    def has_delta(self, delta_state: bytes) -> bool:
        """Tell whether this JSON is the `state` of its delta; `{}` where it has none."""
        delta = self.delta
        if delta is None:
            return delta_state == b"{}"
        # Before it stand only the version and the time.
        return delta[delta.index(_DELTA_STATE) + len(_DELTA_STATE) : -1] == delta_state

    def count(self) -> int:
        """Estimate its memory anew if it has changed much; returns by how much that is more."""
        before = self.memory_bytes
        counted = self._counted_stored_bytes
        if abs(self.stored_bytes - counted) > COUNT_AGAIN * counted or not before:
            self._counted_stored_bytes = self.stored_bytes
            state = self.state
            self.memory_bytes = estimate_memory(state, self.stored_bytes - len(state))
        return self.memory_bytes - before


def estimate_memory(state: bytes, internals_bytes: int) -> int:
    """Estimate what a decoded twin takes, by the shape of its JSON and the size of its memory."""
    return (
        MEMORY_PER_TWIN
        + MEMORY_PER_OBJECT * state.count(b"{")
        + MEMORY_PER_MEMBER * state.count(b":")
        + MEMORY_PER_ITEM * state.count(b",")
        + len(state)
        + MEMORY_PER_INTERNAL_BYTE * max(0, internals_bytes - INTERNALS_BYTES_MIN)
    )


def pack(cached: CachedTwin) -> bytes:
    """Return a committed twin as one object: many small ones would take more than they hold."""
    twin, state, delta = cached.twin, cached.state, cached.delta
    head = _HEAD.pack(
        cached.revision,
        twin.version,
        twin.at,
        cached.used_in,
        len(state),
        len(delta or b""),
        twin.exists,
        delta is not None,
    )
    return b"".join((head, state, delta or b"", cached.internals or encode_internals(twin)))


def unpack(key: TwinKey, packed: bytes, policies: Policies) -> CachedTwin:
    """Return the twin of a key again, decoded."""
    revision, version, at, used_in, state_bytes, delta_bytes, exists, has_delta = _HEAD.unpack_from(
        packed
    )
    state_end = _HEAD.size + state_bytes
    delta_end = state_end + delta_bytes
    stored = StoredTwin(
        key,
        revision,
        version,
        0,  # of a new twin; of others it is the store's
        exists,
        at,
        packed[_HEAD.size : state_end],
        packed[state_end:delta_end] if has_delta else None,
        packed[delta_end:],
    )
    cached = CachedTwin(decode_twin(stored, policies), stored)
    cached.used_in = used_in
    return cached
