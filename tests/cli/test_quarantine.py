"""`syncbridge quarantine`, with a bridge that holds the store and without."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.api import quarantine as routes
from bridge.cli import ExitStatus
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.quarantined import QuarantinedMessage
from bridge.store.sqlite import SqliteStore
from tests.cli.conftest import Run
from tests.cli.stored import EVIL
from tests.store.samples import NOON, refused


def _messages() -> list[QuarantinedMessage]:
    found = [refused(n)._replace(error="forbidden" if n % 2 else "bad_json") for n in range(6)]
    found[4] = refused(4, EVIL.encode())._replace(error="bad_json", message="a\x1b[31mb\u202e")
    found[5] = refused(5, b"")._replace(error="forbidden", size_bytes=99, withheld="sealed")
    return found


@pytest.fixture
def path(path: Path) -> Path:
    """A store with six messages in its quarantine."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        store.commit(CommitBatch(quarantined=_messages()))
    return path


def rows(out: str) -> list[Any]:
    """The JSON objects of an output, one a line."""
    return [json.loads(line) for line in out.splitlines()]


def test_the_newest_comes_first(run: Run, store_option: str) -> None:
    """A line each, with where it came from, why it was refused, and how it begins."""
    status, out, err = run("quarantine", store_option)
    assert (status, err) == (ExitStatus.OK, "")
    lines = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert lines[0] == "6 sync/d5/report 400 forbidden 99 bytes"
    assert lines[2] == '4 sync/d3/report 400 forbidden 3 bytes "[1]"'
    assert len(lines) == 6


def test_lines_are_safe_and_short(run: Run, store_option: str) -> None:
    """Whatever was sent."""
    for arguments in ((), ("5",), ("5", "--json"), ("--json",)):
        out = run("quarantine", *arguments, store_option).out
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert max(map(len, run("quarantine", store_option).out.splitlines())) < 300


def test_filters_choose(run: Run, store_option: str) -> None:
    """By device, reason, time and id."""
    chosen = {
        ("--device", "d3"): [3],
        ("--reason", "bad_json"): [4, 2, 0],
        ("--since", "2026-11-18T11:06:40.000004Z"): [5, 4],
        ("--until", "2026-11-18T11:06:40.000002Z", "--reason", "forbidden"): [1],
        ("--before", "3", "--limit", "1"): [1],
    }
    for arguments, expected in chosen.items():
        found = rows(run("quarantine", *arguments, "--json", store_option).out)
        assert [row["at"] - NOON for row in found] == expected, arguments
    nothing = run("quarantine", "--device", "nobody", store_option)
    assert nothing == (0, "", "no such message is in the quarantine\n")


def test_pages_are_read_to_the_limit(
    run: Run, store_option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more is asked for than one answer holds."""
    monkeypatch.setattr("bridge.cli.quarantine._ROWS_PER_PAGE", 2)
    found = rows(run("quarantine", "--json", "--limit", "5", store_option).out)
    assert [row["at"] - NOON for row in found] == [5, 4, 3, 2, 1]


def test_one_message_is_shown_whole(run: Run, store_option: str) -> None:
    """With all that is kept of it."""
    out = run("quarantine", "4", store_option).out
    assert out.splitlines() == [
        "at: 2026-11-18T11:06:40.000Z",
        "device: d3",
        "writer: d3",
        "topic: sync/d3/report",
        "code: 400",
        "error: forbidden",
        "message: an array",
        "size_bytes: 3",
        "payload: [1]",
    ]
    [evil] = rows(run("quarantine", "5", "--json", store_option).out)
    assert evil["payload"] == EVIL
    sealed = run("quarantine", "6", store_option).out
    assert sealed.endswith("payload: (nothing is kept of a sealed payload)\n")
    status, out, err = run("quarantine", "77", store_option)
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert err == "syncbridge: there is no message 77 in the quarantine\n"


def test_what_the_filters_name_is_cleared(
    run: Run, store_option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests that takes; first only counted."""
    monkeypatch.setattr(routes, "CLEARED_AT_ONCE", 2)
    arguments = ("quarantine", "--reason", "forbidden", "--clear", store_option)
    assert run(*arguments, "--dry-run") == (0, "3 found, 0 cleared\n", "")
    assert len(rows(run("quarantine", "--json", store_option).out)) == 6
    assert run(*arguments) == (0, "3 found, 3 cleared\n", "")
    found = rows(run("quarantine", "--json", store_option).out)
    assert [row["at"] - NOON for row in found] == [4, 2, 0]
    cleared = run("quarantine", "--clear", "--all", "--json", store_option)
    assert rows(cleared.out) == [{"found": 3, "cleared": 3}]
    assert run("quarantine", "--json", store_option).out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--clear"],
        ["--clear", "--all", "--device", "d1"],
        ["--all"],
        ["--dry-run"],
        ["3", "--clear", "--all"],
        ["3", "--device", "d1"],
        ["--device", "a/b"],
        ["--since", "14"],
        ["--limit", "0"],
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, store_option: str, arguments: list[str]) -> None:
    """Before anything is asked; nothing is cleared by mistake."""
    assert run("quarantine", *arguments, store_option).status == ExitStatus.USAGE
    assert len(rows(run("quarantine", "--json", store_option).out)) == 6
