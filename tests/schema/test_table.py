"""Which schema holds for which twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.core.pattern import parse_device_pattern
from bridge.core.topics import TwinKey
from bridge.schema.reading import read_schema
from bridge.schema.table import SchemaRule, Schemas
from tests.schema.files import write_schema


@pytest.mark.parametrize(
    ("key", "holds"),
    [
        (TwinKey("lamp-1"), "lamp-1"),
        (TwinKey("lamp-2"), "lamp-*"),
        (TwinKey("meter"), "*"),
        (TwinKey("meter", "net"), "*"),
        (TwinKey("lamp-2", "net"), "lamp-*/net"),
        (TwinKey("lamp-2", "other"), "lamp-*"),
    ],
)
def test_the_most_specific_pattern_holds(tmp_path: Path, key: TwinKey, holds: str) -> None:
    """And holds alone; in whatever order they stand."""
    path = write_schema(tmp_path, {})
    patterns = ("*", "lamp-*/net", "lamp-1", "lamp-*")
    rules = {
        text: SchemaRule(parse_device_pattern(text), "reported", read_schema(path, "reported"))
        for text in patterns
    }
    for order in (patterns, reversed(patterns)):
        table = Schemas([rules[text] for text in order])
        assert table.model(key, "reported") is rules[holds].model
        assert table.model(key, "desired") is None
