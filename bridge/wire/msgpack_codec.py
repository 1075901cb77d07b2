"""MessagePack: maps with string keys, and the types that JSON has.

https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import msgpack

from bridge.core.limits import Limits
from bridge.core.section import JsonObject
from bridge.wire.malformed import Malformed
from bridge.wire.scan import Scan


def parse(payload: bytes) -> JsonObject:
    """Parse a map. Lengths are checked against what is there before memory is taken.

    Raises:
        Malformed: It is not one msgpack map, or two keys are equal.
    """
    try:
        value: object = msgpack.unpackb(
            payload, raw=False, strict_map_key=True, object_pairs_hook=_unique
        )
    except UnicodeDecodeError:
        raise Malformed(400, "bad_msgpack", "a msgpack str is not valid UTF-8") from None
    except (ValueError, msgpack.UnpackException) as error:
        why = str(error) or "nested too deep"
        raise Malformed(400, "bad_msgpack", f"not valid msgpack: {why}") from None
    if not isinstance(value, dict):
        raise Malformed(400, "not_an_object", "the payload is not a msgpack map")
    return value


def check(state: JsonObject, limits: Limits) -> None:
    """Check a parsed map without its `$` against the limits.

    Raises:
        Malformed: See `Scan`.
    """
    Scan(limits).check_object(state)


def _unique(pairs: list[tuple[object, object]]) -> dict[object, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed(400, "duplicate_key", "a key stands twice in one map")
    return result


def encode(value: JsonObject) -> bytes:
    """Encode an object."""
    packed: bytes = msgpack.packb(value)
    return packed
