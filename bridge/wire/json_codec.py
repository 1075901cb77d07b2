"""JSON, strictly: RFC 8259 in UTF-8, and I-JSON's unique keys (RFC 7493 section 2.3).

The fast parser keeps the last of two equal keys and turns integers beyond 64 bits into floats
without a word. Both are found afterwards, nearly always by counting colons; only where that
leaves a doubt, the payload is parsed again with the slower parser of the standard library.
"""

from __future__ import annotations

import json
import re

import orjson

from bridge.core.limits import INTEGER_MAX, INTEGER_MIN, Limits
from bridge.core.section import JsonObject, JsonValue
from bridge.wire.malformed import Malformed
from bridge.wire.scan import Scan, is_plain

_QUOTE_THEN_COLON = re.compile(rb'"[ \t\r\n]*:')


def parse(payload: bytes) -> JsonObject:
    """Parse an object; equal keys are not yet found, see `check`.

    Raises:
        Malformed: It is not JSON, or not an object.
    """
    try:
        value: object = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Malformed(400, "bad_json", f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed(
            400, "not_an_object", f"the payload is a JSON {_type_name(value)}, not an object"
        )
    return value


def parse_plain(payload: bytes, limits: Limits) -> JsonObject | None:
    """Parse an object of plain values by name, without `$` and within the limits.

    Returns:
        None where it is anything else, be it an error: `parse` and `check` say what.
    """
    try:
        state: JsonObject = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    # As many colons as names: none of them stands there twice.
    if type(state) is not dict or payload.count(b":") != len(state):
        return None
    return state if is_plain(state, limits) else None


def check(payload: bytes, state: JsonObject, metadata: object, limits: Limits) -> None:
    """Check a parsed object without its `$` against the limits, and its text for equal keys.

    Raises:
        Malformed: See `Scan`; or two keys are equal.
    """
    members, ambiguous = len(state), False
    if not is_plain(state, limits):
        scan = Scan(limits)
        scan.check_object(state)
        members, ambiguous = scan.members, scan.ambiguous
    if metadata is not None:
        members += 1 + (len(metadata) if isinstance(metadata, dict) else 0)
    if ambiguous or (
        payload.count(b":") != members
        # Quotes inside strings are escaped: without a backslash every match that is not at the
        # end of a key is at the start of a string, and can only make the count too high.
        and (b"\\" in payload or len(_QUOTE_THEN_COLON.findall(payload)) != members)
    ):
        json.loads(payload.decode(), object_pairs_hook=_unique, parse_int=_bounded_integer)


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Malformed(400, "duplicate_key", f"key {twice[:40]!r} stands twice in one object")
    return result


def _bounded_integer(text: str) -> int:
    # Nineteen digits and a sign: the conversion of longer ones would take quadratic time.
    if len(text) > 20 or not INTEGER_MIN <= int(text) <= INTEGER_MAX:
        raise Malformed(
            400,
            "integer_range",
            f"integer {text[:24]}: integers are within 64 bits signed; send a string",
        )
    return int(text)


def _type_name(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def encode(value: JsonObject) -> bytes:
    """Encode an object as UTF-8 without white space."""
    return orjson.dumps(value)
