"""Paths into twins that queries find by an index: which there can be."""

from __future__ import annotations

import re
from typing import Final

INDEXES_MAX: Final = 16
"""Most indexes: each costs time at every commit, and room."""

KEYS_MAX: Final = 16
"""Most keys of a path."""

_SECTIONS: Final = ("reported", "desired")
_KEY: Final = re.compile(r"[A-Za-z0-9_:@~-]{1,64}")


def parse_indexed_path(text: str) -> tuple[str, ...]:
    """Return a path as its keys.

    It becomes a part of a statement, where nothing can be bound, so that its keys are of few
    signs: none of them means anything to SQL between quotes.

    Raises:
        ValueError: It cannot be indexed; says why.
    """
    section, *keys = text.split(".")
    if section not in _SECTIONS or not keys:
        raise ValueError(f"{text[:80]!r} is no path such as reported.battery or desired.mode")
    if len(keys) > KEYS_MAX:
        raise ValueError(f"{text[:80]!r} has more than {KEYS_MAX} keys")
    odd = next((key for key in keys if not _KEY.fullmatch(key)), None)
    if odd is not None:
        raise ValueError(
            f"{text[:80]!r} has the key {odd[:80]!r}; one that is indexed has 1 to 64 of "
            "A-Z a-z 0-9 _ : @ ~ -"
        )
    return (section, *keys)


def parse_indexed_paths(text: str) -> frozenset[tuple[str, ...]]:
    """Return paths that stand with commas between.

    Raises:
        ValueError: One of them cannot be indexed, or there are too many.
    """
    found = frozenset(parse_indexed_path(one.strip()) for one in text.split(",") if one.strip())
    if len(found) > INDEXES_MAX:
        raise ValueError(f"there are {len(found)} paths, and {INDEXES_MAX} at most are indexed")
    return found
