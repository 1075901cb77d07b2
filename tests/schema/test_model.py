"""What a section that is held against a schema is refused for, and what not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bridge.schema.model import SHOWN_CHARACTERS, SchemaModel
from bridge.schema.reading import read_schema
from tests.schema.files import LAMP, write_schema

GOOD: dict[str, Any] = {"on": True, "brightness": 10, "color": {"r": 1}}


@pytest.fixture
def model(tmp_path: Path) -> SchemaModel:
    """A lamp's."""
    return read_schema(write_schema(tmp_path, LAMP), "reported")


def model_of(tmp_path: Path, schema: object) -> SchemaModel:
    """Of a schema that is not the lamp's."""
    return read_schema(write_schema(tmp_path, schema, "other.json"), "desired")


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        ({"brightness": 256}, "reported.brightness", "/properties/brightness/maximum"),
        ({"brightness": "9"}, "reported.brightness", "/properties/brightness/type"),
        ({"mode": "x"}, "reported.mode", "/properties/mode/enum"),
        ({"color": {"r": 256}}, "reported.color.r", "/$defs/byte/maximum"),
        ({"color": {}}, "reported.color", "/properties/color/required"),
        ({"color": {"r": 1, "b": 2}}, "reported.color", "/properties/color/additionalProperties"),
        ({"scenes": [{"name": 1}, {}]}, "reported.scenes.1", "/properties/scenes/items/required"),
    ],
)
def test_a_refusal_names_the_path_and_the_rule(
    model: SchemaModel, change: dict[str, Any], path: str, rule: str
) -> None:
    """And the file that the rule stands in."""
    after = {**GOOD, **change}
    assert model.fits(GOOD)
    assert not model.fits(after)
    refusal = model.refusal(GOOD, after)
    assert refusal is not None
    assert (refusal.code, refusal.error) == (422, "schema_mismatch")
    assert refusal.message.startswith(f"{path} would not fit its schema: ")
    assert refusal.message.endswith(f"the rule is {rule} of lamp.json")


def test_what_fits_is_not_refused(model: SchemaModel) -> None:
    """Neither is the empty section: it is as good as none."""
    assert model.refusal({}, GOOD) is None
    assert model.refusal(GOOD, {}) is None
    assert model.breaches({}) == []


def test_the_first_write_has_what_is_required(model: SchemaModel) -> None:
    """There was no section before that could have lacked it."""
    refusal = model.refusal({}, {"brightness": 1})
    assert refusal is not None
    assert '"on" is a required property' in refusal.message


@pytest.mark.parametrize(
    "change",
    [
        {"on": False},
        {"brightness": 5},
        {"mode": None},
        {"color": {"r": 300, "g": 1, "b": 1}},
        {"color": {"r": 3, "b": 1}},
        {"color": {"r": 300}},
    ],
)
def test_a_section_that_is_wrong_already_can_be_written(
    model: SchemaModel, change: dict[str, Any]
) -> None:
    """What it lacks and has too much may stay, and may be mended bit by bit."""
    before = {"mode": "old", "brightness": 999, "color": {"r": 300, "b": 1}}
    after = {name: value for name, value in {**before, **change}.items() if value is not None}
    assert not model.fits(after)
    assert model.refusal(before, after) is None


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"brightness": 998}, "reported.brightness"),
        ({"mode": "older"}, "reported.mode"),
        ({"color": {"r": 300, "b": 1, "c": 1}}, "reported.color"),
        ({"scenes": [{}]}, "reported.scenes.0"),
    ],
)
def test_a_section_that_is_wrong_already_does_not_become_worse(
    model: SchemaModel, change: dict[str, Any], path: str
) -> None:
    """A wrong value in the place of another wrong one is wrong anew."""
    before = {"mode": "old", "brightness": 999, "color": {"r": 300, "b": 1}}
    refusal = model.refusal(before, {**before, **change})
    assert refusal is not None
    assert refusal.message.startswith(f"{path} would not fit")


def test_a_rule_on_the_whole_section_locks_nobody_out(tmp_path: Path) -> None:
    """Its value is another one with each update; what counts is that it was broken before."""
    schema = {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "minProperties": 9}
    model = model_of(tmp_path, schema)
    assert model.refusal({"c": 1}, {"c": 2}) is None
    refusal = model.refusal({"a": 1}, {"c": 2})
    assert refusal is not None
    assert "anyOf" in refusal.message


def test_values_are_never_shown(tmp_path: Path) -> None:
    """Who may write one field need not be allowed to read the others."""
    model = model_of(
        tmp_path,
        {
            "anyOf": [{"required": ["key"]}],
            "properties": {"pin": {"maximum": 5}, "s": {"pattern": "^a$"}},
            "propertyNames": {"maxLength": 9},
        },
    )
    after = {"pin": 123456, "s": "hunter2", "x" * 10: "hunter2"}
    shown = [breach.reason for breach in model.breaches(after)]
    assert len(shown) == 4
    assert not [reason for reason in shown if "123456" in reason or "hunter2" in reason]


def test_a_refusal_is_short(tmp_path: Path) -> None:
    """Whatever names a writer has thought up, and however many."""
    model = model_of(tmp_path, {"additionalProperties": False, "properties": {"a": {}}})
    refusal = model.refusal({}, {f"{'n' * 250}{number}": 1 for number in range(100)})
    assert refusal is not None
    assert len(refusal.message) < 4 * SHOWN_CHARACTERS
    assert "(and 99 more)" in refusal.message


def test_no_text_makes_a_pattern_slow(tmp_path: Path) -> None:
    """One that takes others for ever is matched in the time that a longer text takes."""
    model = model_of(tmp_path, {"properties": {"s": {"pattern": "^(a+)+$"}}})

    def took_s(length: int) -> float:
        began = time.perf_counter()
        assert not model.fits({"s": "a" * length + "!"})
        return time.perf_counter() - began

    once = max(min(took_s(2_000) for _ in range(5)), 1e-6)
    # Ten times the text: backtracking would take longer than the universe has.
    assert min(took_s(20_000) for _ in range(5)) < 1000 * once
