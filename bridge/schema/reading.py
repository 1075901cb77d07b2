"""Reading a file with a schema, so that whatever is wrong with it is said with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

from bridge.core.update import SectionName
from bridge.errors import ConfigError
from bridge.schema.model import MASK, SchemaModel, pointer

SCHEMA_BYTES: Final = 1024 * 1024
"""Largest file: a hundred times what a large device's schema has."""

PATTERN_BYTES: Final = 1024 * 1024
"""Memory of one compiled regular expression: thousands of characters of ordinary ones."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_SHOWN_CHARACTERS: Final = 100

_REFERENCES: Final = "put what it refers to below $defs: other files and addresses are not read"


def read_schema(path: Path, section: SectionName) -> SchemaModel:
    """Read a schema of JSON Schema 2020-12.

    Nothing else is read: a `$ref` that leads out of the file is refused, whatever it names. Regular
    expressions are those that are matched in linear time, without look-around and back references.

    Args:
        path: The file.
        section: The section that it is for.

    Raises:
        ConfigError: It cannot be read, or it is no schema; with the place in the file.
    """
    schema = _parsed(path)
    if not isinstance(schema, dict | bool):
        raise _error(path, "#", "a schema is an object, or true or false")
    try:
        # Where a schema says something else of itself, its rules would mean something else.
        dialect = schema.get("$schema", DIALECT) if isinstance(schema, dict) else DIALECT
        if str(dialect).rstrip("#") != DIALECT:
            raise _error(path, "/$schema", f"{str(dialect)[:200]!r} is not spoken here", DIALECT)
        validator = Draft202012Validator(
            schema,
            mask=MASK,
            validate_formats=True,
            offline=True,
            pattern_options=RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=PATTERN_BYTES),
        )
    except ValidationError as error:
        place = pointer(tuple(error.instance_path))
        hint = "" if error.instance_path else _REFERENCES
        if place.endswith("/pattern") or "regex" in error.message:
            hint = "a pattern is matched in linear time: without look-around and back references"
        shown = json.dumps(error.instance, ensure_ascii=False)[:_SHOWN_CHARACTERS]
        raise _error(path, place, error.message.replace(MASK, shown), hint) from error
    return SchemaModel(validator, section, path.name)


def _parsed(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(SCHEMA_BYTES + 1)
        if len(content) > SCHEMA_BYTES:
            raise ConfigError(
                f"the schema {path} is larger than {SCHEMA_BYTES} bytes",
                field="schemas",
                source=str(path),
            )
        parsed: object = json.loads(content.decode())
    except OSError as error:
        raise ConfigError(
            f"the schema {path} cannot be read: {error.strerror}",
            field="schemas",
            source=str(path),
            hint="see the table schemas",
        ) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _error(path, place, error.msg, "a schema is written in JSON") from error
    except (UnicodeDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _error(path, "#", reason) from error
    return parsed


def _error(path: Path, place: str, reason: str, hint: str = "") -> ConfigError:
    return ConfigError(
        f"the schema {path} is not allowed: at {place}: {reason}",
        field="schemas",
        source=str(path),
        hint=hint,
    )
