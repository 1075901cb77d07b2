"""Reading schemas: what is wrong is said with its file and its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.schema.reading import DIALECT, SCHEMA_BYTES, read_schema
from tests.schema.files import LAMP, write_schema


@pytest.mark.parametrize("schema", [LAMP, True, {}, {"$schema": DIALECT, "format": "email"}])
def test_schemas_are_read(tmp_path: Path, schema: object) -> None:
    """Also those that are no object."""
    assert read_schema(write_schema(tmp_path, schema), "reported").fits({})


@pytest.mark.parametrize(
    ("schema", "place", "reason"),
    [
        ({"type": "strin"}, "/type", "strin"),
        ({"properties": {"a": {"minimum": "x"}}}, "/properties/a/minimum", "number"),
        ({"properties": {"a/b": {"pattern": "("}}}, "/properties/a~1b/pattern", "regex"),
        ({"pattern": "(?=a)b"}, "/pattern", "regex"),
        ({"pattern": "(a{1000}){1000}"}, "/pattern", "regex"),
        ({"$ref": "#/$defs/none"}, "#", "/$defs/none"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema", "draft-07"),
        ([1], "#", "an object"),
    ],
)
def test_what_is_no_schema_is_told_with_its_place(
    tmp_path: Path, schema: object, place: str, reason: str
) -> None:
    """As a pointer into the file."""
    path = write_schema(tmp_path, schema)
    with pytest.raises(ConfigError) as refused:
        read_schema(path, "reported")
    assert refused.value.message.startswith(f"the schema {path} is not allowed: at {place}: ")
    assert reason in refused.value.message
    assert refused.value.source == str(path)


@pytest.mark.parametrize(
    "reference",
    ["http://127.0.0.1:1/x.json", "https://example.com/x.json", "file:///etc/passwd", "x.json"],
)
def test_nothing_else_is_read(tmp_path: Path, reference: str) -> None:
    """Whatever a reference names, be it a file that is there."""
    write_schema(tmp_path, {}, "x.json")
    with pytest.raises(ConfigError, match=r"not present in a registry") as refused:
        read_schema(write_schema(tmp_path, {"properties": {"a": {"$ref": reference}}}), "reported")
    assert "$defs" in refused.value.hint


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(ConfigError, match=r"none\.json cannot be read: No such file"):
        read_schema(tmp_path / "none.json", "reported")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n  "a" 1}', "line 2, column 7"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * (SCHEMA_BYTES + 1), "larger than"),
    ],
)
def test_what_is_not_json_is_told_with_its_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """Or with what else is wrong with the file."""
    path = tmp_path / "lamp.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_schema(path, "reported")
