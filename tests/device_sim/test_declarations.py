"""Declarations in YAML: what is wrong in them is named with file, line, field and near name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from device_sim.declarations import Members, read_duration
from device_sim.kinds import KINDS, read_kinds
from device_sim.kinds.base import Kind

_DOOR = """\
door:
  about: a door
  every: 5m
  sleep_after: 2s
  fields:
    open: {among: {values: [true, false, off], change: 50%}}
    light.level_pct:
      unit: "%"
      walk: {low: 0, high: 100, stride: 5, decimals: 0}
      obeys: {between: {low: 0, high: 100}}
    firmware.version: {fixed: "1.0", obeys: {words: ["1.0", "1.1"]}, restarts: 10s}
  messages:
    - {fields: [open]}
    - {fields: [light], weight: 0.5}
"""


def _read(tmp_path: Path, text: str) -> dict[str, Kind]:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    return read_kinds(file)


def test_a_kind_is_what_its_file_says(tmp_path: Path) -> None:
    """Fields, units, drifts, settings, talk, sleep and restarts."""
    (kind,) = _read(tmp_path, _DOOR).values()
    assert (kind.name, kind.about) == ("door", "a door")
    assert (kind.interval_s, kind.sleep_after_s) == (300.0, 2.0)
    assert [".".join(each.path) for each in kind.fields] == [
        "open",
        "light.level_pct",
        "firmware.version",
    ]
    assert kind.fields[1].unit == "%"
    assert kind.restarts == {("firmware", "version"): 10.0}
    assert set(kind.settings) == {("light", "level_pct"), ("firmware", "version")}
    assert [len(part) for part in kind.parts] == [1, 1]
    assert kind.obeyed({"firmware": {"version": "1.1"}, "light": {"level_pct": 101}}) == {
        "firmware": {"version": "1.1"}
    }


@pytest.mark.parametrize(
    ("changed", "to", "says"),
    [
        ("stride: 5", "strid: 5", r"my\.yaml:9: door\.fields\.light\.level_pct\.walk: stride is"),
        ("stride: 5", "strid: 5", "did you mean strid"),
        ("decimals: 0", "decimal: 0", "did you mean decimals"),
        ("  every: 5m", "  evry: 5m", r"my\.yaml:3: door\.evry: .*did you mean every"),
        ("walk:", "wlk:", r"my\.yaml:8: .*did you mean walk"),
        ("5m", "soon", r"my\.yaml:3: door\.every: 'soon' is not a duration"),
        ("low: 0, high: 100, stride", "low: 200, high: 100, stride", "low is at most high"),
        ("between:", "betwen:", "did you mean between"),
        ("[open]", "[opn]", r"my\.yaml:13: .*no field is 'opn'.*did you mean open"),
        ("weight: 0.5", "weight: heavy", "a number is expected, not text"),
        ("change: 50%", "change: 150%", "from 0% to 100%"),
        ("values: [true, false, off]", "values: []", "at least one value"),
        ("  about: a door\n", "", r"my\.yaml:2: door: about is missing"),
        ("    open:", "    open: 1\n    open:", r"my\.yaml:7: door\.fields\.open: it stands there"),
        ("    open:", "    light.level_pct.x: {fixed: 1}\n    open:", "lies below another field"),
        ("    open:", "    $x: {fixed: 1}\n    open:", "a field's path"),
        ("door:", "do or:", "a kind's name"),
        ("door:", "door: [", "is not YAML"),
        (_DOOR, "- door", "a mapping is expected, not a list"),
        (_DOOR, "", "is empty"),
        ("{words", "{fixed: 1, words", "one of switch, between"),
        ("weight: 0.5", "weight: .inf", "is not 0 or more"),
        ("decimals: 0", "decimals: 1.5", "a whole number"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: str, to: str, says: str) -> None:
    """With the file and the line."""
    assert changed in _DOOR
    with pytest.raises(ConfigError, match=says):
        _read(tmp_path, _DOOR.replace(changed, to, 1))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: No such file"):
        read_kinds(tmp_path / "none.yaml")


def test_words_that_yaml_takes_for_booleans_are_words() -> None:
    """`off` is a mode of a thermostat, and `on` a field of a lamp."""
    members = Members.of_text(b"a: [off, on, yes, true, false, 2d, 1.5, 7, null]", "x")
    assert members.take("a").value() == ["off", "on", "yes", True, False, "2d", 1.5, 7, None]
    assert ("on",) in KINDS["lamp"].settings


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("10m", 600), ("2h", 7200), ("7", 7)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """Seconds where none is written."""
    assert read_duration(text) == seconds
