"""`$`: an update's metadata (design section 3), parsed strictly.

Unknown members are refused: a writer that misspells `seq` would lose the protection that it asked
for, and not know.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from bridge.core.limits import BOOT_BYTES, INTEGER_MAX, INTEGER_MIN, REQUEST_ID_LENGTH, TIME_MAX
from bridge.core.refusal import Refusal
from bridge.core.update import NO_METADATA, Boot, Metadata
from bridge.wire.malformed import Malformed

COUNTER_MAX = TIME_MAX
"""`seq` and versions end where a double ceases to hold every integer."""


_KEPT_WHEN_REFUSED = frozenset({"request_id", "boot", "seq"})


def parse_metadata(raw: object) -> tuple[Metadata, Refusal | None]:
    """Parse `$`.

    Returns:
        The metadata, and a refusal or None. With a refusal, the request id is there if it could
        be read, so that the refusal can be answered; and boot and seq, so that they count as
        received.
    """
    if not isinstance(raw, dict):
        return NO_METADATA, Refusal(400, "bad_metadata", "$ is not an object")
    values: dict[str, object] = {}
    refusal = None
    for name, value in raw.items():
        try:
            field, parse = _member(name)
            values[field] = parse(name, value)
        except Malformed as malformed:
            refusal = refusal or malformed.refusal
    if "seq" in values and "boot" not in raw:
        values["boot"] = 0
    if refusal is not None:
        values = {name: value for name, value in values.items() if name in _KEPT_WHEN_REFUSED}
        if "boot" not in values:
            values.pop("seq", None)
    # Each parser returns its field's type.
    return Metadata(**values), refusal  # type: ignore[arg-type]


def _member(name: str) -> tuple[str, Callable[[str, object], object]]:
    member = _MEMBERS.get(name)
    if member is None:
        near = difflib.get_close_matches(str(name), _MEMBERS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(_MEMBERS)}"
        raise Malformed(400, "unknown_metadata", f"$ has no member {str(name)[:40]!r}{hint}")
    return member


def _request_id(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > REQUEST_ID_LENGTH:
        raise _bad(name, f"a string of at most {REQUEST_ID_LENGTH} characters")
    return value


def _boot(name: str, value: object) -> Boot:
    expected = f"a string of at most {BOOT_BYTES} bytes, or an integer of 64 bits"
    if isinstance(value, str):
        if len(value.encode()) > BOOT_BYTES:
            raise _bad(name, expected)
        return value
    number = as_integer(value)
    if number is None or not INTEGER_MIN <= number <= INTEGER_MAX:
        raise _bad(name, expected)
    return number


def _counter_from(lowest: int) -> Callable[[str, object], int]:
    def parse(name: str, value: object) -> int:
        number = as_integer(value)
        if number is None or not lowest <= number <= COUNTER_MAX:
            raise _bad(name, f"an integer from {lowest} to 2^53 - 1")
        return number

    return parse


def _time(name: str, value: object) -> int:
    """Any integer is taken, however wrong: the stamp rule decides what a clock is worth."""
    number = int(value) if isinstance(value, str) and _is_decimal(value) else as_integer(value)
    if number is None or abs(number) > INTEGER_MAX:
        raise _bad(name, "an integer (µs since the epoch), or its decimal digits as a string")
    return number


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _bad(name, "true or false")
    return value


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 19


def as_integer(value: object) -> int | None:
    """Return a number without a fraction as an integer, however it was written; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _bad(name: str, expected: str) -> Malformed:
    return Malformed(400, "bad_metadata", f"$.{name} is not {expected}")


_MEMBERS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "id": ("request_id", _request_id),
    "boot": ("boot", _boot),
    "seq": ("seq", _counter_from(1)),
    "seen": ("seen", _counter_from(0)),
    "t": ("time", _time),
    "if": ("if_version", _counter_from(0)),
    "full": ("full", _flag),
}
