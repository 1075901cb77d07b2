"""What the administration answers, read member by member."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from bridge.core.section import JsonObject
from bridge.errors import AdminError

JsonRow: TypeAlias = JsonObject
"""One row of an answer."""

_HINT = "compare `syncbridge version` here and where the bridge runs"


def document(answer: Mapping[str, object]) -> JsonObject:
    """Return a whole answer, which was JSON, to be printed."""
    return cast("JsonObject", {**answer})


def rows_of(answer: Mapping[str, object], name: str) -> list[JsonRow]:
    """Return the rows of an answer.

    Raises:
        AdminError: They are not there, as where another version of the bridge answers.
    """
    rows = answer.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AdminError(f"the bridge's answer has no {name}", hint=_HINT)
    return cast("list[JsonRow]", rows)


def as_object(row: Mapping[str, object], name: str) -> JsonObject:
    """Return a member that is an object.

    Raises:
        AdminError: It is none.
    """
    value = row.get(name)
    if not isinstance(value, dict):
        raise AdminError(f"{name} in the bridge's answer is no object", hint=_HINT)
    return cast("JsonObject", value)


def integer(row: Mapping[str, object], name: str) -> int:
    """Return a member that is an integer.

    Raises:
        AdminError: It is none.
    """
    value = row.get(name)
    if not isinstance(value, int):
        raise AdminError(f"{name} in the bridge's answer is no integer", hint=_HINT)
    return value


def text(row: Mapping[str, object], name: str) -> str:
    """Return a member that is a text.

    Raises:
        AdminError: It is none.
    """
    value = row.get(name)
    if not isinstance(value, str):
        raise AdminError(f"{name} in the bridge's answer is no text", hint=_HINT)
    return value
