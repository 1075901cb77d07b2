"""The table `schemas` of the configuration file: what it becomes, and errors with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import load
from bridge.config_schemas import NO_SCHEMAS, SCHEMAS_IN_A_TABLE, SchemaTable, SchemaTableError
from bridge.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, not in the working directory."""
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "etc" / "bridge.yaml"


def test_the_table_becomes_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the configuration, as other paths in it are."""
    monkeypatch.setenv("HOME", "/home-of-nobody")
    path.write_text(
        'schemas:\n  "*": {reported: any.json}\n'
        "  lamp-*:\n    reported: /srv/lamp.json\n    desired: ~/lamp.json\n",
        encoding="utf-8",
    )
    loaded = load({}, {}, path)
    assert [
        (entry.device, entry.section, str(entry.file)) for entry in loaded.config.schemas.files
    ] == [
        ("*", "reported", str(path.parent / "any.json")),
        ("lamp-*", "reported", "/srv/lamp.json"),
        ("lamp-*", "desired", "/home-of-nobody/lamp.json"),
    ]
    assert loaded.value("schemas") == "3 files"
    assert loaded.origins["schemas"] == f"file {path}:1"


@pytest.mark.parametrize("text", ["", "schemas:\n", "schemas: {}\n"])
def test_without_entries_there_are_no_schemas(path: Path, text: str) -> None:
    """Also where the table is there."""
    path.write_text(text, encoding="utf-8")
    loaded = load({}, {}, path)
    assert loaded.config.schemas == NO_SCHEMAS
    assert loaded.value("schemas") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: {report: x}}", "schemas.a.report from file {path}:2 is not allowed: 'report' is no"),
        ("{a/state: {}, 'b+': {reported: x}}", "schemas.b+ from file {path}:2 is not allowed: no"),
        (
            "{a*c: {reported: x}, ab*: {reported: x}}",
            "schemas.ab*.reported from file {path}:2 is not allowed: it ties with 'a*c'",
        ),
        ("{a: {reported: ~nobody-of-that-name/x}}", "schemas.a.reported from file {path}:2 is not"),
        ("{a: {reported: [x]}}", "schemas.a.reported in file {path}:2 is not a single value"),
        ("{a: x.json}", "schemas.a in {path}:2 is not a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(path: Path, text: str, message: str) -> None:
    """The entry is named."""
    path.write_text(f"schemas:\n  {text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load({}, {}, path)
    assert refused.value.message.startswith(message.format(path=path))


@pytest.mark.parametrize(
    "table",
    [
        {"a*c": {"reported": "x"}, "ab*": {"desired": "x"}},
        {"a*": {"reported": "x"}, "b*": {"reported": "x"}},
        {"a*": {"reported": "x"}, "a*/net": {"reported": "x"}},
        {"a*/n*": {"reported": "x"}, "a*/m*": {"reported": "x"}},
    ],
)
def test_what_cannot_meet_does_not_tie(table: dict[str, dict[str, str]]) -> None:
    """Other sections, other devices, other names; and where one is more specific."""
    assert len(SchemaTable.parse(table).files) == 2


def test_the_table_is_bounded() -> None:
    """Each twin that comes into memory is held against each pattern."""
    table = {f"d{number}": {"reported": "x"} for number in range(SCHEMAS_IN_A_TABLE + 1)}
    with pytest.raises(SchemaTableError, match="more than 200"):
        SchemaTable.parse(table)
