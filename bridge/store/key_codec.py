"""What a twin's registers and cells share in the store: keys, as small numbers.

Times are kept as differences from the twin's `now`, and writers as indexes into a table of names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bridge.core.section import Key

Packed = list[Any]
"""What msgpack holds: numbers, texts, bytes, nil, and lists of these."""


class Names(dict[str, int]):
    """Indexes of names: one that is new gets the next."""

    def __missing__(self, name: str) -> int:
        index = self[name] = len(self)
        return index


class KeyEncoder:
    """Encodes keys.

    Attributes:
        now: The twin's `now`.
        version: The twin's version: those of its registers are differences from it.
        names: Name -> its index; in their order, they are the table.
    """

    __slots__ = ("names", "now", "version")

    def __init__(self, now: int, version: int) -> None:
        self.now = now
        self.version = version
        self.names = Names()

    def key(self, key: Key) -> Packed:
        """Return a key as four small numbers."""
        stamp, writer, order, seq = key
        # Without a boot `seq` is a time, and mostly the stamp itself.
        return [self.now - stamp, self.names[writer], order, seq if order else stamp - seq]


class KeyDecoder:
    """Builds keys again.

    Args:
        now: What the encoder was given.
        version: What the encoder was given.
        names: Its table. They become the same objects wherever they occur, in all twins.
    """

    __slots__ = ("names", "now", "version")

    def __init__(self, now: int, version: int, names: Sequence[str]) -> None:
        self.now = now
        self.version = version
        self.names = [sys.intern(name) for name in names]

    def key(self, age: int, writer: int, order: int, seq: int) -> Key:
        """Return the key of four numbers."""
        stamp = self.now - age
        return (stamp, self.names[writer], order, seq if order else stamp - seq)
