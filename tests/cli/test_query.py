"""`syncbridge query`, with a bridge that holds the store and without."""

from __future__ import annotations

import json

from bridge.cli import ExitStatus
from tests.cli.conftest import Run


def test_lists_what_is_found(run: Run, store_option: str) -> None:
    """As a table."""
    status, out, err = run("query", "desired.on = false", store_option)
    assert (status, err) == (ExitStatus.OK, "")
    assert [line.split()[0] for line in out.splitlines()] == ["DEVICE", "lamp-1"]


def test_prints_json_for_programs(run: Run, store_option: str) -> None:
    """One twin a line."""
    out = run("query", "desired.ssid = 'home'", store_option, "--json").out
    (found,) = map(json.loads, out.splitlines())
    assert (found["device"], found["name"]) == ("lamp-1", "net")
    assert found["desired"] == {"ssid": "home"}


def test_says_what_is_wrong_with_a_query(run: Run, store_option: str) -> None:
    """And where."""
    status, out, err = run("query", "online; DROP TABLE twin", store_option)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert "at character 7" in err
    order = ("fleet", "start", "--where", "online AND", "desired.on=true")
    status, out, err = run(*order, store_option)
    if status != ExitStatus.UNAVAILABLE:  # without a bridge none begins
        assert (status, out) == (ExitStatus.USAGE, "")
        assert "up to character 10" in err


def test_says_where_there_are_more(run: Run, store_option: str) -> None:
    """A program that reads the output would miss them silently otherwise."""
    all_of_them = run("query", "version > 0", store_option, "--json")
    assert all_of_them.err == ""
    count = len(all_of_them.out.splitlines())
    cut = run("query", "version > 0", store_option, "--json", "--limit", str(count - 1))
    assert len(cut.out.splitlines()) == count - 1
    assert f"there are more than these {count - 1}" in cut.err
    exact = run("query", "version > 0", store_option, "--json", "--limit", str(count))
    assert exact.err == ""
