"""`syncbridge config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.config import SETTINGS, TABLES
from bridge.config_reference import markdown
from tests.cli.conftest import Run

_SECRET = "correct-horse"  # noqa: S105 - made up, and searched for in what is printed


def test_every_setting_is_printed_with_its_origin(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the file, the environment, a flag or the default."""
    (tmp_path / "bridge.yaml").write_text("limits:\n  keys: 7\n")
    monkeypatch.setenv("SYNCBRIDGE_LIMITS_DEPTH", "8")
    status, out, err = run("config", "--prefix", "plant")
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    assert list(rows) == [*SETTINGS, *TABLES]
    assert rows["limits.keys"] == ["7", "file bridge.yaml:2"]
    assert rows["limits.depth"] == ["8", "environment SYNCBRIDGE_LIMITS_DEPTH"]
    assert rows["prefix"] == ["plant", "flag --prefix"]
    assert rows["embedded.port"] == ["1883", "default"]


def test_truth_values_are_printed_as_they_are_written(run: Run, tmp_path: Path) -> None:
    """As YAML and JSON have them: what is printed can be put into a file."""
    (tmp_path / "bridge.yaml").write_text("publish:\n  events: true\n")
    rows = dict(line.split()[:2] for line in run("config").out.splitlines())
    assert rows["publish.events"] == "true"
    assert not {"True", "False"} & set(rows.values())
    (tmp_path / "bridge.yaml").write_text("publish:\n  events: false\n")
    assert (
        dict(line.split()[:2] for line in run("config").out.splitlines())["publish.events"]
        == "false"
    )


def test_the_json_of_the_settings_is_stable(run: Run, tmp_path: Path) -> None:
    """Values have their types, and what is not set is null."""
    (tmp_path / "my.yaml").write_text("store:\n  path: here.db\n")
    document = json.loads(run("config", "--config", "my.yaml", "--json").out)
    assert document["file"] == "my.yaml"
    settings = document["settings"]
    assert list(settings) == list(SETTINGS)
    assert settings["store.path"] == {"value": "here.db", "origin": "file my.yaml:2"}
    assert settings["embedded.port"]["value"] == 1883
    assert settings["broker.connect_timeout_s"]["value"] == 10.0
    assert settings["broker.url"]["value"] is None


def test_the_rules_of_the_policies_are_listed_with_their_lines(run: Run, tmp_path: Path) -> None:
    """Below the settings, and as a list in the JSON, which is empty without any."""
    assert json.loads(run("config", "--json").out)["policies"] == []
    table = "policies:\n  '*':\n    reported.c.**: sum\n  meter-*: {desired.mode: app}\n"
    (tmp_path / "bridge.yaml").write_text(table)
    settings, _, rules = run("config").out.partition("\n\n")
    line = next(line for line in settings.splitlines() if line.startswith("policies"))
    assert line.split() == ["policies", "2", "rules", "file", "bridge.yaml:1"]
    assert rules.splitlines() == [
        "policies:",
        "  *        reported.c.**  sum  file bridge.yaml:3",
        "  meter-*  desired.mode   app  file bridge.yaml:4",
    ]
    assert json.loads(run("config", "--json").out)["policies"] == [
        {"device": "*", "path": "reported.c.**", "policy": "sum", "origin": "file bridge.yaml:3"},
        {
            "device": "meter-*", "path": "desired.mode", "policy": "app",
            "origin": "file bridge.yaml:4",
        },
    ]  # fmt: skip


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_passwords_are_never_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    """Only that there is one, and where."""
    monkeypatch.setenv("SYNCBRIDGE_BROKER_USERNAME", "me")
    monkeypatch.setenv("SYNCBRIDGE_BROKER_PASSWORD", _SECRET)
    out = run("config", *form).out
    assert _SECRET not in out
    assert "(not shown)" in out
    assert "SYNCBRIDGE_BROKER_PASSWORD" in out


def test_the_tables_of_the_manual_can_be_printed(run: Run) -> None:
    """They are made from the same declarations."""
    assert run("config", "--markdown") == (0, markdown(), "")
    assert run("config", "--markdown", "--json").status == 2


def test_an_unknown_setting_is_named_with_the_nearest(run: Run, tmp_path: Path) -> None:
    """With status 2."""
    (tmp_path / "bridge.yaml").write_text("limits:\n  dept: 7\n")
    status, _, err = run("config")
    assert status == 2
    assert "limits.dept" in err
    assert "limits.depth" in err


def test_the_schemas_are_listed(run: Run, tmp_path: Path) -> None:
    """Below the settings, and as a list in the JSON."""
    assert json.loads(run("config", "--json").out)["schemas"] == []
    (tmp_path / "bridge.yaml").write_text("schemas: {'lamp-*': {reported: lamp.json}}\n")
    listed = run("config").out.partition("\n\n")[2]
    assert listed.split() == ["schemas:", "lamp-*", "reported", "lamp.json"]
    assert json.loads(run("config", "--json").out)["schemas"] == [
        {"device": "lamp-*", "section": "reported", "file": "lamp.json"}
    ]
