"""Twins as they were committed last, ready to be sent: what is read often is read from here."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from bridge.core.topics import TwinKey

VIEW_BYTES: Final = 600
"""Memory that a view takes beside its document."""


class View(NamedTuple):
    """A twin as it is on the disk.

    Attributes:
        version: Its version.
        exists: False before the first report and after a deletion.
        document: JSON of the twin, with its device and name.
    """

    version: int
    exists: bool
    document: bytes


class Shelf:
    """Views by twin, the least recently used go first.

    Nothing stands here that is not committed, so that no reader sees what a power cut undoes.

    Args:
        limit_bytes: Memory for them.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._views: OrderedDict[TwinKey, View] = OrderedDict()
        self._size_bytes = 0

    def __contains__(self, key: TwinKey) -> bool:
        """Tell whether a view of a twin is here."""
        return key in self._views

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._views)

    def get(self, key: TwinKey) -> View | None:
        """Return the view of a twin as the most recently used, or None."""
        view = self._views.get(key)
        if view is not None:
            self._views.move_to_end(key)
        return view

    def put(self, key: TwinKey, view: View) -> View:
        """Keep a view, unless a newer one is here; returns the one that is newer."""
        known = self._views.pop(key, None)
        if known is not None:
            self._size_bytes -= VIEW_BYTES + len(known.document)
            if known.version > view.version:
                view = known
        self._views[key] = view
        self._size_bytes += VIEW_BYTES + len(view.document)
        while self._size_bytes > self._limit_bytes and self._views:
            _, gone = self._views.popitem(last=False)
            self._size_bytes -= VIEW_BYTES + len(gone.document)
        return view


def view_of(key: TwinKey, version: int, state: bytes) -> View:
    """Return the view of a twin.

    Args:
        key: The twin.
        version: Its version.
        state: JSON as it stands on `state`; empty where the twin does not exist.
    """
    if not state:
        return View(version, False, b"")
    return View(version, True, document_of(key, state))


def document_of(key: TwinKey, state: bytes) -> bytes:
    """Return JSON of a twin that exists with its device and name.

    Args:
        key: The twin.
        state: JSON as it stands on `state`.
    """
    # Ids and names hold no sign that JSON would escape.
    return f'{{"device":"{key.device}","name":"{key.name}",'.encode() + state[1:]
