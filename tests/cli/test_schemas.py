"""`syncbridge schemas check`, with a bridge that holds the store and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli import ExitStatus
from tests.cli.conftest import Run
from tests.schema.files import write_schema

STRICT = {"additionalProperties": False, "properties": {"on": {"const": True}}}


def test_what_does_not_fit_is_listed_for_programs(
    run: Run, store_option: str, tmp_path: Path
) -> None:
    """One object for each place, and a status that tells."""
    path = str(write_schema(tmp_path, STRICT))
    status, out, err = run("schemas", "check", path, "--section=desired", "--json", store_option)
    assert status == ExitStatus.REFUSED
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "device": "lamp-1",
            "name": "",
            "path": "desired.on",
            "rule": "/properties/on/const",
            "reason": "true was expected",
        },
        {
            "device": "lamp-1",
            "name": "net",
            "path": "desired",
            "rule": "/additionalProperties",
            "reason": "'ssid' is not expected",
        },
    ]
    assert err == "2 of 2 twins with desired do not fit\n"


@pytest.mark.parametrize(("pattern", "looked_at"), [("lamp-*", 2), ("lamp-1/n*", 1), ("x*", 0)])
def test_only_twins_of_the_pattern_are_looked_at(
    run: Run, store_option: str, tmp_path: Path, pattern: str, looked_at: int
) -> None:
    """And nothing is printed where all of them fit."""
    path = str(write_schema(tmp_path, {"type": "object"}))
    status, out, err = run("schemas", "check", path, pattern, "--section=desired", store_option)
    assert (status, out) == (ExitStatus.OK, "")
    assert err == f"0 of {looked_at} twins with desired do not fit\n"


def test_what_is_no_schema_or_no_pattern_is_told(
    run: Run, store_option: str, tmp_path: Path
) -> None:
    """Before any twin is looked at."""
    path = str(write_schema(tmp_path, {"type": "strin"}))
    status, out, err = run("schemas", "check", path, store_option)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert 'at /type: "strin" is not valid' in err
    path = str(write_schema(tmp_path, {}))
    status, out, err = run("schemas", "check", path, "a+", store_option)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert "DEVICE" in err
