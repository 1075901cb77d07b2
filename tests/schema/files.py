"""Schemas in files, and tables of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from bridge.config_schemas import SchemaTable

LAMP: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "on": {"type": "boolean"},
        "brightness": {"type": "integer", "minimum": 0, "maximum": 255},
        "mode": {"enum": ["eco", "night"]},
        "color": {
            "type": "object",
            "properties": {"r": {"$ref": "#/$defs/byte"}, "g": {"$ref": "#/$defs/byte"}},
            "required": ["r"],
            "additionalProperties": False,
        },
        "scenes": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
    "required": ["on"],
    "$defs": {"byte": {"type": "integer", "maximum": 255}},
}
"""A lamp's `reported`."""


def write_schema(directory: Path, schema: object, name: str = "lamp.json") -> Path:
    """Write a schema into a file."""
    path = directory / name
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


def table_of(path: Path, *sections: str, device: str = "lamp-*") -> SchemaTable:
    """A table in which one file holds for sections of devices."""
    return SchemaTable.parse({device: {section: str(path) for section in sections}})
