"""What `syncbridge set` was told to change, as the merge patch of one section."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple, NoReturn, TypeAlias

from bridge.cli.paths import Path, PathError, parse_path, path_text
from bridge.core.section import JsonObject, JsonValue

SectionName: TypeAlias = Literal["reported", "desired"]
SECTIONS: tuple[SectionName, ...] = ("desired", "reported")


class Change(NamedTuple):
    """A merge patch (RFC 7396) and the section that it is for."""

    section: SectionName
    patch: JsonObject


class AssignmentError(ValueError):
    """An assignment or a patch is not written as it must be; the message says why."""


def parse_assignments(texts: Sequence[str]) -> Change:
    """Put assignments such as `desired.color.r=255` together.

    Raises:
        AssignmentError: One of them is malformed, two of them contradict each other, or they are
            not all of one section.
    """
    parsed = [(text, *_parse(text)) for text in texts]
    sections = {section for _, section, _, _ in parsed}
    if len(sections) != 1:
        raise AssignmentError(
            "desired and reported cannot be changed in one message: use one command for each"
        )
    patch: JsonObject = {}
    for text, _, path, value in parsed:
        _put(patch, path, value, text)
    return Change(sections.pop(), patch)


def _parse(text: str) -> tuple[SectionName, Path, JsonValue]:
    try:
        path, end = parse_path(text, end="=")
    except PathError as error:
        raise AssignmentError(str(error)) from None
    if end == len(text):
        raise AssignmentError(f"{text!r} is not of the form PATH=VALUE")
    if path[0] not in SECTIONS or len(path) < 2:
        raise AssignmentError(
            f"{text!r}: a path begins with desired. or reported., as in desired.on=true"
        )
    if path[1].startswith("$"):
        raise AssignmentError(f"{text!r}: keys that start with $ are reserved")
    return path[0], path[1:], parse_value(text[end + 1 :])


def parse_value(text: str) -> JsonValue:
    """Return a value as it was meant: JSON where it is JSON, else the text itself.

    Raises:
        AssignmentError: It begins as an object, an array or a quoted string and is not JSON: most
            likely the shell has taken the quotes away.
    """
    try:
        return _loads(text)
    except ValueError as error:
        if text.lstrip().startswith(("{", "[", '"')):
            raise AssignmentError(
                f"{text!r} is not JSON ({error}); put the whole assignment in single quotes, so "
                "that the shell leaves the inner ones"
            ) from None
        return text


def parse_patch(text: str, section: SectionName) -> Change:
    """Parse a whole merge patch.

    Raises:
        AssignmentError: It is not a JSON object, or has metadata.
    """
    try:
        patch = _loads(text)
    except ValueError as error:
        raise AssignmentError(f"the patch is not JSON: {error}") from None
    if not isinstance(patch, dict):
        raise AssignmentError("the patch is not a JSON object")
    if any(key.startswith("$") for key in patch):
        raise AssignmentError("keys that start with $ are reserved; see --if and --full")
    return Change(section, patch)


def _loads(text: str) -> JsonValue:
    """Parse JSON strictly: no NaN, no key twice."""
    try:
        value: JsonValue = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_unique
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _put(patch: JsonObject, path: Path, value: JsonValue, text: str) -> None:
    """Put a value into the patch at a path where nothing is yet."""
    level = patch
    for key in path[:-1]:
        below = level.setdefault(key, {})
        if not isinstance(below, dict):
            raise AssignmentError(f"{text!r}: {path_text(path)} lies below another assignment")
        level = below
    if path[-1] in level:
        raise AssignmentError(f"{text!r}: {path_text(path)} is assigned twice")
    level[path[-1]] = value
