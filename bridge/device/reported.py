"""What this process has reported, merged, for when the bridge asks for all of it again.

Reports are merged in the order of their numbers, whatever order their answers take, and as the
bridge merges those of one writer. One that the bridge has refused is left out: repeated with the
others, it would have them all refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.device.payload import METADATA_KEY, JsonObject, JsonValue, decode, encode

EARLY_BYTES = 1024 * 1024
"""Bytes of reports that were answered before an earlier one: that one is sent again within
seconds, and so few follow it. Beyond this, what was reported counts as not known any more."""

_REMEASURE_BYTES = 4096
"""What is merged is measured again when its bound has doubled, but not below this."""


class _Object(dict[str, JsonValue]):
    """An object, and whether it was itself set to `{}`: then it stays when its last field goes."""

    __slots__ = ("marked",)

    def __init__(self, *, marked: bool = False) -> None:
        super().__init__()
        self.marked = marked

    def copy(self) -> _Object:
        """Return a deep copy; arrays are never changed."""
        copied = _Object(marked=self.marked)
        for key, value in self.items():
            copied[key] = value.copy() if isinstance(value, _Object) else value
        return copied


class Reported:
    """The reports of one process, merged.

    Until the first full report it is a patch, with the removals in it. From then on it is all that
    the twin should have, and removals leave nothing.

    Args:
        size_bytes: What it may have as JSON at most; what grows beyond that is forgotten, as no
            report could hold it.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size_max_bytes = size_bytes
        self._next_seq = 1
        self._early: dict[int, bytes | None] = {}
        self._merged = _Object()
        self._full = False
        # An upper bound, and the size when it was last measured.
        self._size_bytes = self._measured_bytes = 0

    def answered(self, seq: int, payload: bytes | None) -> None:
        """Take a report that was answered; None for its payload where it was refused."""
        if seq < self._next_seq:
            return
        self._early[seq] = payload
        while self._next_seq in self._early:
            self._take(self._early.pop(self._next_seq))
            self._next_seq += 1
        if sum(len(early or b"") for early in self._early.values()) > EARLY_BYTES:
            self._next_seq = max(self._early) + 1
            self._early.clear()
            self._forget()

    def begin_anew(self) -> dict[int, bytes]:
        """Go on with the numbers of another boot, from 1.

        Returns:
            By their numbers, the reports that were answered before an earlier one, and are not
            merged: they have to be said once more behind it.
        """
        early = {seq: payload for seq, payload in self._early.items() if payload is not None}
        self._early.clear()
        self._next_seq = 1
        return early

    def with_unanswered(
        self, in_flight: Mapping[int, bytes], pending: Sequence[tuple[JsonObject, bool]]
    ) -> tuple[JsonObject, bool] | None:
        """Return all of it with what is unanswered, as one patch, and whether that is full.

        Args:
            in_flight: Payloads by number.
            pending: Patches without a number, and whether each is full.

        Returns:
            None if there is nothing.
        """
        merged, full = self._merged.copy(), self._full
        numbered = self._early | {seq: in_flight[seq] for seq in in_flight if seq >= self._next_seq}
        reports = [_read(payload) for _, payload in sorted(numbered.items()) if payload is not None]
        for patch, is_full in (*reports, *pending):
            if is_full:
                merged, full = _Object(), True
            _merge(merged, patch, forget_removals=full)
        return (merged, full) if merged or full else None

    def _take(self, payload: bytes | None) -> None:
        if payload is None:
            return
        patch, full = _read(payload)
        if full:
            self._forget()
            self._full = True
        _merge(self._merged, patch, forget_removals=self._full)
        self._size_bytes += len(payload)
        if self._size_bytes > max(2 * self._measured_bytes, _REMEASURE_BYTES):
            self._size_bytes = self._measured_bytes = len(encode(self._merged, "json"))
            if self._size_bytes > self._size_max_bytes:
                self._forget()

    def _forget(self) -> None:
        self._merged = _Object()
        self._full = False
        self._size_bytes = self._measured_bytes = 0


def _read(payload: bytes) -> tuple[JsonObject, bool]:
    patch = decode(payload)
    metadata = patch.pop(METADATA_KEY)
    return patch, isinstance(metadata, dict) and metadata.get("full") is True


def _merge(target: _Object, patch: JsonObject, *, forget_removals: bool) -> None:
    """Merge a later patch in place, as a twin does.

    An object goes with its last field unless it was set to `{}`; a patch into a value makes it an
    object, be it for removals only.
    """
    for key, value in patch.items():
        if isinstance(value, dict):
            present = target.get(key)
            child = present if isinstance(present, _Object) else _Object()
            child.marked = child.marked or not value
            _merge(child, value, forget_removals=forget_removals)
            if child or child.marked:
                target[key] = child
            else:
                target.pop(key, None)
        elif value is None and forget_removals:
            target.pop(key, None)
        else:
            target[key] = value
