"""What a twin's registers and cells share in the store: keys, as small numbers.

Times are kept as differences from the twin's `now`, and writers as indexes into a table of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from bridge.core.section import Key

Packed = list[Any]
"""What msgpack holds: numbers, texts, bytes, nil, and lists of these."""

SHARED_NAMES: Final = 4096
"""Writers whose names are kept once for all twins. Bounded, unlike Python's own table of texts:
whoever may publish can invent names."""


@lru_cache(maxsize=SHARED_NAMES)
def _one_object(name: str) -> str:
    return name


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
        names: Its table. They become the same objects wherever they occur, in many twins.
        device: The device, whose name is mostly one of them.

    Attributes:
        times: Times that have occurred, by themselves: so that equal ones are one object.
    """

    __slots__ = ("names", "now", "times", "version")

    def __init__(self, now: int, version: int, names: Sequence[str], device: str) -> None:
        self.now = now
        self.version = version
        self.names = [device if name == device else _one_object(name) for name in names]
        self.times: dict[int, int] = {now: now}

    def time(self, age: int) -> int:
        """Return the time that lies so many µs before the twin's `now`."""
        time = self.now - age
        return self.times.setdefault(time, time)

    def key(self, age: int, writer: int, order: int, seq: int) -> Key:
        """Return the key of four numbers."""
        stamp = self.time(age)
        return (stamp, self.names[writer], order, seq if order else stamp - seq)
