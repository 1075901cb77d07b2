"""Paths in patches: what a patch sets, what it touches, and what a delta must hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from bridge.device import JsonObject, JsonValue
from device_sim.document import equal_by_value, leaves

Path = tuple[str, ...]


def touch(one: Path, other: Path) -> bool:
    """Tell whether what is set at one path may change what stands at the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def touches_any(path: Path, others: Iterable[Path]) -> bool:
    """Tell whether a path touches one of several."""
    return any(touch(path, other) for other in others)


def paths_of(patch: JsonObject) -> list[Path]:
    """Return the paths that a patch sets or removes."""
    return [path for path, _ in leaves(patch)]


def exact(value: JsonValue) -> bytes:
    """Return a text that is the same for the same value: 1 and 1.0 have two."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def set_by(patch: JsonObject) -> Iterator[tuple[Path, bytes]]:
    """Yield each path that a patch sets, with the text of its value."""
    for path, value in leaves(patch):
        yield path, exact(value)


def outstanding(desired: JsonObject, reported: JsonObject) -> JsonObject:
    """Return what `reported` lacks of `desired`: an account of its own of what a delta is."""
    lacking: JsonObject = {}
    for key, wanted in desired.items():
        met = reported.get(key)
        if isinstance(wanted, dict) and isinstance(met, dict):
            below = outstanding(wanted, met)
            if below:
                lacking[key] = below
        elif key not in reported or isinstance(wanted, dict) or not equal_by_value(wanted, met):
            lacking[key] = wanted
    return lacking
