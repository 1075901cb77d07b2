"""The usual slips in queries, and what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlglot import exp

SHOWN_CHARACTERS: Final = 80
"""Characters of a text that advice repeats."""

_SECTIONS: Final = ("reported", "desired")
_FIELDS: Final = ("device", "name", "version", "at", "online")

_UNITS: Final = (
    ("s", 10**9, 10**11, 10**6, 1),
    ("ms", 10**12, 10**14, 10**3, 1),
    ("ns", 10**18, 10**20, 1, 10**3),
)
"""A unit, the times of this century and the next ones in it, and what makes µs of them. As µs they
would be in 1970, or in no time that any bridge will see."""


def value_slip(node: exp.Expression) -> str:
    """Return what to write in the place of something that stands where a value must; or empty."""
    if isinstance(node, exp.Null):
        return "write IS NULL, or IS NOT NULL"
    text = _joined(node)
    if not text:
        return ""
    if text.startswith(tuple(f"{section}." for section in _SECTIONS)):
        return "a field is compared with a value, and not with another field"
    return f"a text stands in single quotes: {_quoted(text)}"


def field_slip(node: exp.Expression) -> str:
    """Return what to write in the place of something that stands where a field must; or empty."""
    if isinstance(node, exp.Literal) and node.is_string:
        text = str(node.this)
        is_field = text in _FIELDS or text.partition(".")[0] in _SECTIONS
        return f"write {_path(text)}: single quotes are for texts" if is_field else ""
    text = _joined(node) if isinstance(node, exp.Sub) else ""
    if text.partition(".")[0] in _SECTIONS:
        return f"write {_path(text)}: a key with other signs than letters, digits and _ is quoted"
    return ""


def name_slip(path: tuple[str, ...]) -> str:
    """Return what to write in the place of a name that is no field; or empty."""
    if len(path) > 1:
        return ""
    name = path[0]
    section, dot, _ = name.partition(".")
    if dot and section in _SECTIONS:
        return f"write {_path(name)}: double quotes are for one key"
    if name in _SECTIONS:
        return f"a key stands behind it: {name}.KEY"
    shown = _path(name)
    return f"what a device reports is reported.{shown}, what is desired of it desired.{shown}"


def time_slip(value: object) -> str:
    """Return what to write in the place of a value that `at` is compared with; or empty."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return "a time is a number of µs since 1970, such as 1790000000000000"
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return f"write {int(moment.timestamp()) * 10**6}: a time is a number of µs since 1970"
    if isinstance(value, int | float):
        for unit, least, most, times, by in _UNITS:
            if least <= value < most:
                micros = int(value) * times // by
                return f"write {micros}: this looks like {unit}, and a time is in µs since 1970"
    return ""


def _joined(node: exp.Expression) -> str:
    """Return names, and numbers behind a hyphen, as they were written; empty for all else."""
    if isinstance(node, exp.Column | exp.Dot):
        parts = node.parts
        if all(isinstance(part, exp.Identifier) for part in parts):
            return ".".join(str(part.name) for part in parts)
    if isinstance(node, exp.Sub):
        left, right = _joined(node.this), node.expression
        if isinstance(right, exp.Literal) and right.is_number:
            behind = str(right.this)
        else:
            behind = _joined(right)
        is_one = not behind.startswith(tuple(f"{section}." for section in _SECTIONS))
        return f"{left}-{behind}" if left and behind and is_one else ""
    return ""


def _quoted(text: str) -> str:
    return "'" + text[:SHOWN_CHARACTERS].replace("'", "''") + "'"


def _path(text: str) -> str:
    """Return a dotted path as a query has it, with keys in quotes where they need them."""
    keys = text[:SHOWN_CHARACTERS].split(".")
    return ".".join(key if key.replace("_", "a").isalnum() else f'"{key}"' for key in keys)
