"""One schema, as the model of a section.

A section is held against its schema as it would be after the update, not by the update alone. One
that did not fit already, because it is older than its schema, can still be written: of what is
wrong, only what the update brings is a reason to refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson
from jsonschema_rs import Draft202012Validator, ValidationError

from bridge.core.paths import path_text
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.update import SectionName

SHOWN_CHARACTERS: Final = 200
"""Characters of a path, of a rule and of a reason that a refusal shows."""

MASK: Final = "the value"
"""Stands for values in messages: whoever may write a field need not be allowed to read others."""

_NAMES_OF_MEMBERS: Final = "propertyNames"


class Breach(NamedTuple):
    """One place of a section that does not fit.

    Attributes:
        path: Where; keys, and indices within arrays.
        rule: Which rule of the schema, as a JSON Pointer (RFC 6901) into it.
        detail: What tells it from others of that rule there: the name that is missing or is too
            many, or the value; empty for an object, whose members may change.
        reason: What is wrong, for people; it holds no value of the section.
    """

    path: tuple[str | int, ...]
    rule: str
    detail: bytes
    reason: str

    def path_in(self, section: SectionName) -> str:
        """Return where it is, as paths are written: `reported.color.r`."""
        return path_text((section, *map(str, self.path)))


class SchemaModel:
    """The model that a schema describes.

    Args:
        validator: Compiled with `MASK`.
        section: The section that it is for.
        name: Of its file, for messages.
    """

    def __init__(self, validator: Draft202012Validator, section: SectionName, name: str) -> None:
        self._validator = validator
        self._section = section
        self._name = name

    def take_over(self, other: SchemaModel) -> None:
        """Be what another schema of the same section describes, from the next question on."""
        self._validator, self._name = other._validator, other._name

    def fits(self, value: JsonObject) -> bool:
        """Tell whether a section fits; the empty one always does."""
        return not value or bool(self._validator.is_valid(value))

    def breaches(self, value: JsonObject) -> list[Breach]:
        """Return everything that does not fit."""
        if not value:
            return []
        return [one for error in self._validator.iter_errors(value) for one in _breaches(error)]

    def refusal(self, before: JsonObject, after: JsonObject) -> Refusal | None:
        """Say why an update is refused that leads from a section to another one; None if it is not.

        Args:
            before: The section as it is.
            after: The section as it would be.
        """
        if self.fits(after):
            return None
        there = {breach[:3] for breach in self.breaches(before)}
        new = [breach for breach in self.breaches(after) if breach[:3] not in there]
        if not new:
            return None
        first = new[0]
        more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
        where = _clipped(first.path_in(self._section))
        return Refusal(
            422,
            "schema_mismatch",
            f"{where} would not fit its schema: {_clipped(first.reason)}{more}; the rule is "
            f"{_clipped(first.rule)} of {_clipped(self._name)}",
        )


def pointer(path: tuple[str | int, ...]) -> str:
    """Return a path as a JSON Pointer; `#` stands for the whole."""
    escaped = (str(level).replace("~", "~0").replace("/", "~1") for level in path)
    return "/" + "/".join(escaped) if path else "#"


def _breaches(error: ValidationError) -> Iterator[Breach]:
    """Yield one for each member that an error is about: one rule can be broken by several."""
    path, rule = tuple(error.instance_path), pointer(tuple(error.schema_path))
    kind = error.kind.name
    if kind == "required":
        yield Breach(path, rule, str(error.kind.value).encode(), error.message)
    elif isinstance(error.kind.value, list) and kind in (
        "additionalProperties",
        "unevaluatedProperties",
    ):
        for name in error.kind.value:
            yield Breach(path, rule, str(name).encode(), f"{_clipped(repr(name))} is not expected")
    else:
        detail = b""
        # An array is a value: what stands in it is replaced with it.
        in_array = any(isinstance(level, int) for level in path)
        if in_array or not isinstance(error.instance, dict):
            detail = orjson.dumps(error.instance)
        # Of this one the library's message quotes the name, several times over.
        reason = error.message if kind != _NAMES_OF_MEMBERS else "the name of a member is wrong"
        yield Breach(path, rule, detail, reason)


def _clipped(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
