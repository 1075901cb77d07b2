"""The table `policies` of the configuration file: what it becomes, and errors with its lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge import config_reference
from bridge.config import SETTINGS, TABLES, Config, load
from bridge.core.limits import Limits
from bridge.core.policy import NO_POLICIES, POLICIES, RULES_IN_A_TABLE, Policies, Rule
from bridge.errors import ConfigError

_TABLE = """\
limits:
  depth: 3
policies:
  "*":
    reported.counters.**: sum
    # A key with dots in it.
    desired."cct:0.1".on: first
  meter-*:
    desired.mode: device
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bridge.yaml"


def _refused(path: Path, text: str) -> ConfigError:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load({}, {}, path)
    return refused.value


def test_the_table_becomes_policies(path: Path) -> None:
    """With the patterns as they were written, and where each rule stands."""
    path.write_text(_TABLE, encoding="utf-8")
    loaded = load({}, {})
    assert loaded.config.policies.table == (
        Rule("*", "reported.counters.**", "sum"),
        Rule("*", 'desired."cct:0.1".on', "first"),
        Rule("meter-*", "desired.mode", "device"),
    )
    assert loaded.value("policies") == "3 rules"
    assert loaded.origins["policies"] == "file bridge.yaml:3"
    assert list(loaded.rule_origins.values()) == [f"file bridge.yaml:{n}" for n in (5, 7, 9)]


@pytest.mark.parametrize(
    "text", ["", "policies:\n", "policies: {}\n", 'policies:\n  "*":\n    # reported.a: sum\n']
)
def test_without_rules_there_are_no_policies(path: Path, text: str) -> None:
    """Nothing given, or everything commented out."""
    path.write_text(text, encoding="utf-8")
    loaded = load({}, {})
    assert loaded.config.policies == NO_POLICIES
    assert loaded.config == Config()
    assert loaded.value("policies") is None
    assert loaded.rule_origins == {}


def test_one_rule_is_one(path: Path) -> None:
    """Not 1 rules."""
    path.write_text("policies: {a: {reported.b: sum}}", encoding="utf-8")
    assert load({}, {}).value("policies") == "1 rule"


@pytest.mark.parametrize(
    ("table", "said", "hint"),
    [
        (
            "a:\n    reported.b: summ",
            "policies.a.reported.b from file {path}:3 is not allowed: 'summ' is no policy: "
            "there are latest, device, app, sum, max, min, union, first, refuse",
            "did you mean sum?",
        ),
        ("a:\n    reported.b: qqqqq", "'qqqqq' is no policy", ""),
        (
            "meter 1:\n    reported.b: sum",
            "policies.meter 1 from file {path}:2 is not allowed: no device id matches it",
            "",
        ),
        (
            "a:\n    reported.b: sum\n    report.b: sum",
            "policies.a.report.b from file {path}:4 is not allowed: a path begins with "
            "reported. or desired.",
            "",
        ),
        (
            "a:\n    reported.**.b: sum",
            "policies.a.reported.**.b from file {path}:3 is not allowed: ** can only be the last",
            "",
        ),
        (
            'a*:\n    reported.b: sum\n  "*b":\n    reported.b: sum',
            "policies.*b.reported.b from file {path}:5 is not allowed: it ties with 'reported.b' "
            "of 'a*': both match reported.b of ab, and neither is more specific",
            "the other one is in line 3; make one more specific, or remove it",
        ),
        (
            'a:\n    reported.b: sum\n    reported."b": sum',
            'policies.a.reported."b" from file {path}:4 is not allowed: it ties with',
            "the other one is in line 3",
        ),
        (
            "a:\n    reported.b: sum\n    reported.b: max",
            "policies.a.reported.b is set twice in {path}: in lines 3 and 4",
            "remove one of them",
        ),
        (
            "a:\n    reported.b: sum\n  a:\n    reported.c: sum",
            "policies.a is set twice in {path}: in lines 2 and 4",
            "remove one of them",
        ),
        (
            "reported.b: sum",
            "policies.reported.b in {path}:2 is not a mapping",
            "`path pattern: policy` lines below device patterns",
        ),
        (
            "a:\n    reported:\n      b: sum",
            "policies.a.reported in file {path}:3 is not a single value",
            "`path pattern: policy` lines below device patterns",
        ),
        ("a:\n    reported.b:", "policies.a.reported.b in file {path}:3 is not a single", "lines"),
        ("- a", "policies in {path}:2 is not a mapping", "lines below device patterns"),
        ("*: {reported.b: sum}", "is not YAML: line 2", 'begins with * stands in quotes: "*"'),
        ("*-b: {reported.b: sum}", "is not YAML: line 2", 'begins with * stands in quotes: "*"'),
        ('"": {reported.b: sum}', "from file {path}:2 is not allowed: no device id matches", ""),
        ('a: {"": sum}', "from file {path}:2 is not allowed: '' has an empty key", ""),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(path: Path, table: str, said: str, hint: str) -> None:
    """And with the reason, and what to do where that can be said."""
    error = _refused(path, f"policies:\n  {table}\n")
    assert said.format(path=path) in error.message
    assert hint in error.hint if hint else not error.hint


def test_the_field_and_the_source_of_a_wrong_rule_are_given(path: Path) -> None:
    """For programs."""
    error = _refused(path, "policies:\n  a:\n    reported.b: summ\n")
    assert (error.field, error.source) == ("policies.a.reported.b", f"file {path}:3")
    error = _refused(path, "policies:\n  a b:\n    reported.b: sum\n")
    assert (error.field, error.source) == ("policies.a b", f"file {path}:2")


def test_a_table_that_is_too_large_is_named_as_a_whole(path: Path) -> None:
    """With the line where it begins."""
    rules = "".join(f"    reported.key{n}: sum\n" for n in range(RULES_IN_A_TABLE + 1))
    error = _refused(path, f"prefix: a\npolicies:\n  a:\n{rules}")
    assert error.message == (
        f"policies from file {path}:2 is not allowed: there are more than {RULES_IN_A_TABLE} rules"
    )


def test_rules_are_held_against_the_limits_in_force(path: Path) -> None:
    """Wherever those come from."""
    path.write_text(_TABLE, encoding="utf-8")
    environment = {"SYNCBRIDGE_LIMITS_DEPTH": "1"}
    with pytest.raises(ConfigError, match=r":5 is not allowed: it has 2 levels, and limits\.depth"):
        load({}, environment)
    error = _refused(path, "limits: {key_bytes: 2}\npolicies: {a: {reported.abc: sum}}")
    assert "limits.key_bytes is 2" in error.message


def test_a_wrong_limit_is_named_rather_than_the_rules(path: Path) -> None:
    """It may be why they do not fit."""
    error = _refused(path, "limits: {depth: 0}\npolicies: {a: {reported.**.b: sum}}")
    assert error.field == "limits.depth"


def test_the_table_can_stand_in_the_file_only(path: Path) -> None:
    """A variable or a flag holds one value; both say so."""
    with pytest.raises(ConfigError, match="SYNCBRIDGE_POLICIES is not a setting") as refused:
        load({}, {"SYNCBRIDGE_POLICIES": "{}"})
    assert "write it into the configuration file" in refused.value.hint
    with pytest.raises(ConfigError, match="policies in the command line is not a setting"):
        load({"policies": "{}"}, {})
    assert not TABLES.keys() & SETTINGS.keys()


def test_a_typing_error_in_the_name_of_the_table_is_found(path: Path) -> None:
    """As in that of a setting."""
    assert _refused(path, "policy:\n  a:\n    reported.b: sum\n").hint == "did you mean policies?"


def test_policies_can_be_given_by_a_program() -> None:
    """As the mapping, or as what it becomes."""
    table = {"*": {"reported.a": "sum"}}
    policies = Policies.parse(table, Limits())
    assert Config.model_validate({"policies": table}).policies == policies
    assert Config(policies=policies).policies is policies


@pytest.mark.parametrize(
    "table",
    [3, {"a": 3}, {"a": {"reported.b": 3}}, {3: {"reported.b": "sum"}}, {"a": {"b": "sum"}}],
)
def test_what_a_program_gives_is_validated(table: object) -> None:
    """Its shape too."""
    with pytest.raises(ValidationError):
        Config.model_validate({"policies": table})


def test_the_policies_cannot_be_exchanged() -> None:
    """The configuration is frozen."""
    config = Config()
    with pytest.raises(ValidationError):
        config.policies = NO_POLICIES  # type: ignore[misc]


def test_the_manual_names_the_table_and_every_policy() -> None:
    """In the generated tables, and in the section about it, whose examples load."""
    document = Path(config_reference.__file__).parent.parent / "docs" / "configuration.md"
    text = document.read_text(encoding="utf-8")
    assert "| `policies` | not set |" in config_reference.markdown()
    section = text.partition("## Conflict policies")[2].partition("\n## ")[0]
    table = section.partition("| policy | keeps |")[2].partition("\n\n")[0]
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(firsts)) == list(POLICIES)
    assert f"at most {RULES_IN_A_TABLE:,} rules" in section
