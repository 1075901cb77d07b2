"""Twins whose publish the broker has refused, to be offered again: its rights may be mended."""

from __future__ import annotations

from typing import Final

from bridge.core.topics import TwinKey
from bridge.service.twin_publication import TwinPublication

REFUSED_TWINS: Final = 10_000
"""Twins remembered whose publish the broker refused; further ones wait for the next start."""

REFUSED_BYTES: Final = 16 * 1024 * 1024
"""The same, as the sum of their states and deltas."""

RETRIED_TWINS: Final = 1000
"""Twins that are offered again at a time: the broker probably refuses them again."""


class RefusedTwins:
    """Bounded; what finds no place is published at the next start, or with its next version."""

    def __init__(self) -> None:
        self._publications: dict[TwinKey, TwinPublication] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._publications)

    def add(self, publication: TwinPublication) -> None:
        """Remember a publication, where there is room."""
        self.pop(publication.key)
        size_bytes = self._size_bytes + publication.size_bytes
        if len(self) < REFUSED_TWINS and size_bytes <= REFUSED_BYTES:
            self._publications[publication.key] = publication
            self._size_bytes = size_bytes

    def pop(self, key: TwinKey) -> TwinPublication | None:
        """Forget a twin; returns what was remembered of it."""
        publication = self._publications.pop(key, None)
        if publication is not None:
            self._size_bytes -= publication.size_bytes
        return publication

    def some(self) -> list[TwinPublication]:
        """Return those that wait longest, at most `RETRIED_TWINS`."""
        return list(self._publications.values())[:RETRIED_TWINS]
