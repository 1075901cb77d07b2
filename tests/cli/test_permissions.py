"""`syncbridge permissions`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli.status import ExitStatus
from tests.cli.conftest import Run

_FILE = """\
principals: [anna, bert]
groups:
  operators: [anna]
rules:
  operators:
    "lamp-*":
      desired.**: read write
  anna:
    lamp-1:
      desired.firmware: deny write
    lamp-2/setup:
      reported.a: read
"""


@pytest.fixture(autouse=True)
def permissions_file(tmp_path: Path) -> Path:
    """Permissions that are configured."""
    (tmp_path / "bridge.yaml").write_text("permissions:\n  file: permissions.yaml\n")
    file = tmp_path / "permissions.yaml"
    file.write_text(_FILE)
    return file


def test_what_is_in_order_is_counted(run: Run) -> None:
    """In words, and for programs."""
    status, out, err = run("permissions", "check")
    expected = "permissions.yaml: principals: 2, groups: 1, rules: 3; default: deny\n"
    assert (status, out, err) == (0, expected, "")
    assert json.loads(run("permissions", "check", "--json").out) == {
        "file": "permissions.yaml",
        "default": "deny",
        "principals": 2,
        "groups": 1,
        "rules": 3,
    }


def test_what_is_wrong_is_told_with_file_line_and_the_name_that_was_meant(
    run: Run, tmp_path: Path
) -> None:
    """In another file than the configured one."""
    other = tmp_path / "other.yaml"
    other.write_text(_FILE.replace("  anna:", "  ana:"))
    status, out, err = run("permissions", "check", "--file", str(other))
    assert (status, out) == (ExitStatus.USAGE, "")
    assert f"{other}:10 are not allowed: 'ana' is neither a principal nor a group" in err
    assert "did you mean anna?" in err


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        (
            ("anna", "lamp-1", "desired.on", "--write"),
            0,
            "anna may write desired.on of lamp-1: operators: lamp-*: desired.**: read write "
            "(permissions.yaml:7)",
        ),
        (
            ("anna", "lamp-1", "firmware.url", "--section", "desired", "--write"),
            4,
            "anna may not write desired.firmware.url of lamp-1: anna: lamp-1: desired.firmware: "
            "deny write (permissions.yaml:10)",
        ),
        (
            ("anna", "lamp-2", "reported.a", "--name", "setup"),
            0,
            "anna may read reported.a of lamp-2/setup: anna: lamp-2/setup: reported.a: read "
            "(permissions.yaml:12)",
        ),
        (
            ("bert", "lamp-1", "desired.on"),
            4,
            "bert may not read desired.on of lamp-1: no rule allows it",
        ),
        (
            ("plug", "plug", "reported.on", "--write"),
            0,
            "plug may write reported.on of plug: a device may report, and read its own twins",
        ),
    ],
)
def test_an_explanation_names_the_rule_and_its_line(
    run: Run, arguments: tuple[str, ...], status: int, answer: str
) -> None:
    """The status is the answer, for scripts."""
    assert run("permissions", "explain", *arguments) == (status, answer + "\n", "")


def test_a_default_that_is_open_is_named_as_the_reason(run: Run, permissions_file: Path) -> None:
    """Nothing else allows it."""
    permissions_file.write_text("default: development\n")
    status, out, _ = run("permissions", "explain", "zoe", "lamp-1", "desired.on", "--json")
    assert status == 0
    assert json.loads(out) == {"allowed": True, "reason": "development", "rule": None}


def test_a_rule_is_an_object_for_programs(run: Run) -> None:
    """With its file and line."""
    out = run("permissions", "explain", "anna", "lamp-1", "desired.on", "--json").out
    assert json.loads(out) == {
        "allowed": True,
        "reason": "rule",
        "rule": {
            "subject": "operators",
            "device": "lamp-*",
            "path": "desired.**",
            "rights": "read write",
            "line": 7,
            "file": "permissions.yaml",
        },
    }


def test_a_principal_that_is_not_declared_is_pointed_out(run: Run) -> None:
    """It may be a typing error."""
    status, _, err = run("permissions", "explain", "ana", "lamp-1", "desired.on")
    assert status == ExitStatus.REFUSED
    assert "ana is not declared in permissions.yaml" in err
    assert "did you mean anna?" in err


@pytest.mark.parametrize("path", ["on", "desired", "state.on", "desired.", "reported..a"])
def test_a_path_that_leads_into_no_section_is_an_error(run: Run, path: str) -> None:
    """Of usage."""
    status, out, err = run("permissions", "explain", "anna", "lamp-1", path)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert "PATH" in err


def test_without_permissions_there_is_nothing_to_explain(run: Run, tmp_path: Path) -> None:
    """It says how things are then."""
    (tmp_path / "bridge.yaml").unlink()
    status, _, err = run("permissions", "explain", "anna", "lamp-1", "desired.on")
    assert status == ExitStatus.USAGE
    assert "no permissions are configured" in err
    assert "--file" in err
