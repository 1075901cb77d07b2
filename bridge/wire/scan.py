"""What every decoded object must keep to, whatever its encoding was."""

from __future__ import annotations

from bridge.core.limits import INTEGER_MAX, INTEGER_MIN, Limits
from bridge.core.section import JsonObject, JsonValue
from bridge.wire.malformed import Malformed

_LARGEST_INTEGER_AS_FLOAT = 2.0**63
_CHARACTERS_ALWAYS_SHORT = 4
"""A character is at most so many bytes of UTF-8."""

_LARGE = 9e18
"""Below 2^63: a number of at least this size is looked at more closely."""

_PLAIN_NAME_CHARACTERS = 32
_PLAIN_NAME_BYTES = _PLAIN_NAME_CHARACTERS * _CHARACTERS_ALWAYS_SHORT

PLAIN_NAMES = 10_000
"""Names that are remembered as good: a fleet says the same few again and again. At most 2 MiB."""

_plain_names: set[str] = set()

_MSGPACK_TYPES = "msgpack bin, ext and timestamps have no place in a state"


def is_plain(state: JsonObject, limits: Limits) -> bool:
    """Tell whether an object needs no `Scan`: known names of numbers, texts and booleans.

    Most reports are, and a scan would take half of the time that decoding them does.
    """
    if not _plain_names.issuperset(state):
        _note_plain_names(state)
        return False
    for member in state.values():
        kind = type(member)
        if kind is float or kind is int:
            if not -_LARGE < member < _LARGE:  # type: ignore[operator]
                return False
        elif kind is not str and kind is not bool:
            return False
    return limits.key_bytes >= _PLAIN_NAME_BYTES and limits.depth > 0


def _note_plain_names(state: JsonObject) -> None:
    if len(_plain_names) + len(state) <= PLAIN_NAMES:
        _plain_names.update(
            name
            for name in state
            if type(name) is str and name[:1] != "$" and len(name) <= _PLAIN_NAME_CHARACTERS
        )


class Scan:
    """One walk over a decoded object.

    Attributes:
        members: Members of all objects in it.
        ambiguous: A float is so large that an integer beyond 64 bits may have become it.
    """

    __slots__ = ("_depth", "_key_bytes", "_short_key", "ambiguous", "members")

    def __init__(self, limits: Limits) -> None:
        self._depth = limits.depth
        self._key_bytes = limits.key_bytes
        self._short_key = limits.key_bytes // _CHARACTERS_ALWAYS_SHORT
        self.members = 0
        self.ambiguous = False

    def check_object(self, value: JsonObject, level: int = 1) -> None:
        """Check an object at this level of nesting, and everything in it.

        Raises:
            Malformed: It is too deep, or holds a reserved or too long key, or a forbidden value.
        """
        if level > self._depth:
            raise Malformed(
                400,
                "too_deep",
                f"objects and arrays are nested deeper than {self._depth} levels: flatten them, "
                "or raise limits.depth",
            )
        self.members += len(value)
        for name, member in value.items():
            if type(name) is not str or name[:1] == "$" or len(name) > self._short_key:
                self._key(name)
            kind = type(member)
            if kind is str or kind is bool or member is None:
                continue
            self._value(member, level, name)

    def _value(self, member: JsonValue, level: int, name: str) -> None:
        if isinstance(member, int):
            if not INTEGER_MIN <= member <= INTEGER_MAX:
                raise _integer_range(name)
        elif isinstance(member, float):
            size = abs(member)
            if not size < float("inf"):
                raise Malformed(
                    400, "not_a_number", f"{name!r} is NaN or infinite: leave it out, or null"
                )
            self.ambiguous = self.ambiguous or size >= _LARGEST_INTEGER_AS_FLOAT
        elif isinstance(member, dict):
            self.check_object(member, level + 1)
        elif isinstance(member, list):
            self._array(member, level + 1, name)
        elif not isinstance(member, str):
            raise Malformed(400, "bad_type", f"{name!r}: {_MSGPACK_TYPES}")

    def _array(self, values: list[JsonValue], level: int, name: str) -> None:
        if level > self._depth:
            self.check_object({}, level)
        for value in values:
            kind = type(value)
            if kind is not str and kind is not bool and value is not None:
                self._value(value, level, name)

    def _key(self, name: object) -> None:
        if not isinstance(name, str):
            raise Malformed(400, "bad_key", f"key {name!r} is not a string")
        if name.startswith("$"):
            raise Malformed(
                400,
                "reserved_key",
                f"key {name[:40]!r}: keys that start with $ are reserved at every level; "
                "`$` itself stands at the top level only",
            )
        size_bytes = len(name.encode())
        if size_bytes > self._key_bytes:
            raise Malformed(
                400,
                "key_too_long",
                f"a key that starts with {name[:40]!r} has {size_bytes} bytes, "
                f"the limit is {self._key_bytes}",
            )


def _integer_range(name: str) -> Malformed:
    return Malformed(
        400, "integer_range", f"{name!r}: integers are within 64 bits signed; send a string"
    )
