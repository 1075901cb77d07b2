"""`syncbridge history`, `diff` and `get --at`, with a bridge that holds the store and without."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import ExitStatus
from bridge.cli.lines import FIELDS_PER_LINE
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.orders import update
from tests.cli.conftest import Run
from tests.cli.program import Program, without_escapes
from tests.cli.stored import EVIL, NET, carry_out


def rows(out: str) -> list[Any]:
    """The JSON objects of an output, one a line."""
    return [json.loads(line) for line in out.splitlines()]


def test_history_lists_changes_the_newest_first(run: Run, store_option: str) -> None:
    """With who made them and what was there before; presence is not among them."""
    status, out, err = run("history", "lamp-1", store_option)
    assert (status, err) == (ExitStatus.OK, "")
    lines = [line.split(" ", 1) for line in out.splitlines()]
    assert all(time.endswith("Z") for time, _ in lines)
    assert lines[0][1] == "v7 app-2 desired.on=false (was true) desired.color=null"
    assert [rest for _, rest in lines[2:]] == [
        "v5 app-1 desired.on=true desired.color.r=255",
        "v4 app-2 deleted",
        "v2 lamp-1 reported.on=true",
        "v1 app-1 desired.on=true desired.timer=30",
    ]


def test_history_is_json_for_programs(run: Run, store_option: str) -> None:
    """One object a line, with all of it."""
    newest, *older = rows(run("history", "lamp-1", store_option, "--json").out)
    assert list(newest) == [
        "device", "name", "version", "at", "stamp", "writer", "section", "patch", "previous",
    ]  # fmt: skip
    assert (newest["device"], newest["name"], newest["version"]) == ("lamp-1", "", 7)
    assert newest["patch"] == {"on": False, "color": None}
    assert newest["previous"] == {"on": True, "color": {"r": 255}}
    deletion = older[2]
    assert (deletion["section"], deletion["patch"]) == ("twin", None)
    assert deletion["previous"] == {
        "reported": {"on": True},
        "desired": {"on": True, "timer": 30},
    }


def test_history_comes_in_parts(run: Run, store_option: str) -> None:
    """So many, below a version."""
    out = run("history", "lamp-1", store_option, "--json", "--limit", "2", "--below", "6").out
    assert [row["version"] for row in rows(out)] == [5, 4]
    result = run("history", "lamp-1", store_option, "--below", "1")
    assert result == (0, "", "no change of lamp-1 is kept below version 1\n")


def test_history_reads_page_after_page(
    run: Run, store_option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more is asked for than one answer holds."""
    monkeypatch.setattr("bridge.cli.history._ROWS_PER_PAGE", 2)
    out = run("history", "lamp-1", store_option, "--json", "--limit", "5").out
    assert [row["version"] for row in rows(out)] == [7, 6, 5, 4, 2]


def test_history_of_a_named_twin_is_its_own(run: Run, store_option: str) -> None:
    """With versions of its own."""
    [row] = rows(run("history", "lamp-1", "--name", "net", store_option, "--json").out)
    assert (row["name"], row["version"], row["patch"]) == ("net", 1, {"ssid": "home"})


@pytest.mark.parametrize("command", ["history", "writers", "conflicts"])
def test_an_unknown_twin_is_status_5(run: Run, store_option: str, command: str) -> None:
    """In each listing."""
    status, out, err = run(command, "nobody", store_option)
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert err == "syncbridge: there is no twin nobody\n"


def test_lines_are_safe_and_short(run: Run, store_option: str, path: Path, tmp_path: Path) -> None:
    """Whatever a device sends; JSON has all of it."""
    out = run("history", "lamp-1", store_option).out
    assert "\x1b" not in out
    assert "\\u001b[2Jx" in out
    assert max(map(len, out.splitlines())) < 300
    assert rows(run("history", "lamp-1", store_option, "--json").out)[1]["patch"]["evil"] == EVIL
    arguments = ["history", "lamp-1", store_option]
    with Program(*arguments, directory=tmp_path, terminal=True) as program:
        text = program.read_to_end()
        assert program.wait() == ExitStatus.OK
    assert "\x1b[2J" not in text
    assert "app-2 deleted" in without_escapes(text)


def test_lines_with_many_fields_are_cut(run: Run, path: Path) -> None:
    """And say how many there are beside."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        carry_out(store, update({f"f{n}": n for n in range(FIELDS_PER_LINE + 3)}))
    [line] = run("history", "lamp-1", "--limit", "1", "--store", str(path)).out.splitlines()
    assert line.endswith("… and 3 more")
    assert line.count("=") == FIELDS_PER_LINE


def test_a_twin_is_printed_as_it_was(run: Run, store_option: str) -> None:
    """With the members of the present one."""
    status, out, err = run("get", "lamp-1", "--at", "1", store_option, "--json")
    assert (status, err) == (ExitStatus.OK, "")
    document = json.loads(out)
    assert list(document) == [
        "device", "name", "version", "at", "reported", "desired", "online", "last_seen",
    ]  # fmt: skip
    assert document["desired"] == {"on": True, "timer": 30}
    assert (document["reported"], document["online"], document["last_seen"]) == ({}, None, None)


def test_a_value_is_printed_as_it_was(run: Run, store_option: str) -> None:
    """At a version or a time, typed as µs or as people write it."""
    out = run("history", "lamp-1", store_option, "--json", "--below", "6", "--limit", "1").out
    at = json.loads(out)["at"]
    for point in ("5", str(at), local_time(at)):
        result = run("get", "lamp-1", "desired.color.r", "--at", point, store_option)
        assert result == (ExitStatus.OK, "255\n", "")
    result = run("get", "lamp-1", "desired.color.r", "--at", "7", store_option)
    assert result.status == ExitStatus.NOT_FOUND
    assert "nothing at desired.color" in result.err


def local_time(at: int) -> str:
    """A time as `--at` takes it, in the zone of this machine."""
    moment = datetime.fromtimestamp(at // 10**6, UTC).replace(microsecond=at % 10**6)
    return moment.astimezone().replace(tzinfo=None).isoformat()


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("8", "twin lamp-1 is at version 7: it has no version 8 yet"),
        ("4", "twin lamp-1 did not exist at version 4: it was deleted on 20"),
        ("0", "did not exist at version 0"),
        ("2001-01-01", "did not exist at 20"),
        ("1960-01-01T00:00Z", "did not exist at 1960-01-01T00:00:00.000000Z"),
        ("2200-01-01", "has not come yet"),
    ],
)
def test_what_never_was_is_status_5(run: Run, store_option: str, at: str, message: str) -> None:
    """With a line that says why."""
    status, out, err = run("get", "lamp-1", "--at", at, store_option)
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "lamp-1", "--at", "soon"), "'soon' is neither a version nor a time"),
        (("get", "lamp-1", "--at", "1", "--since", "1"), "--at goes with none of"),
        (("get", "lamp-1", "--at", "1", "--meta"), "--at goes with none of"),
        (("get", "lamp-1", "--store", "x.db"), "--store is for --at"),
        (("diff", "lamp-1", "1", "x"), "'x' is neither a version nor a time"),
        (("diff", "lamp-1", "1"), "Missing argument 'V2'"),
        (("history", "lamp-1", "--limit", "0"), "0 is not in the range"),
        (("history", "../x"), "cannot be a device"),
        (("rollback", "lamp-1"), "Missing option '--to'"),
        (("rollback", "lamp-1", "--to", "1", "--section", "twin"), "'twin' is not one of"),
        (("rollback", "lamp-1", "--to", "1", "--as", "a/b"), "--as 'a/b': a name is"),
        (("writers", "lamp-1", "--section", "desired"), "--section is for --forget"),
        (("writers", "lamp-1", "--forget", "a/b"), "--forget 'a/b': a name is"),
        (("conflicts", "--name", "net"), "--name needs a DEVICE"),
    ],
)
def test_a_wrong_command_line_is_status_2(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    """Before any store is looked for."""
    status, out, err = run(*arguments)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert message in err


def test_no_store_is_status_1(run: Run, path: Path) -> None:
    """It is not made by asking."""
    fresh = path.with_name("fresh.db")
    for command in (("history", "a"), ("rollback", "a", "--to", "1"), ("conflicts",)):
        result = run(*command, "--store", str(fresh))
        assert result.status == ExitStatus.FAILURE
        assert f"there is no store {fresh}" in result.err
    assert not fresh.exists()


def test_a_difference_is_a_line_for_each_section(run: Run, store_option: str) -> None:
    """What is at the second, with what was at the first."""
    status, out, err = run("diff", "lamp-1", "1", "5", store_option)
    assert (status, out) == (
        ExitStatus.OK,
        "desired.timer=null (was 30) desired.color.r=255\n",
    )
    assert err.startswith("lamp-1: from version 1 of 20")
    assert " to version 5 of 20" in err
    _, out, err = run("diff", "lamp-1", "5", "4", store_option)
    assert out == "desired.on=null (was true) desired.color=null\n"
    assert err.endswith(" to version 4 (not there)\n")
    assert run("diff", "lamp-1", "1", "1", store_option).out == ""


def test_a_difference_is_json_for_programs(run: Run, store_option: str) -> None:
    """Both patches of both sections."""
    document = json.loads(run("diff", "lamp-1", "0", "2", store_option, "--json").out)
    assert list(document) == ["device", "name", "from", "to", "reported", "desired"]
    assert document["from"] == {"version": 0, "at": None, "exists": False}
    assert (document["to"]["version"], document["to"]["exists"]) == (2, True)
    assert document["reported"] == {"patch": {"on": True}, "previous": {"on": None}}
    assert document["desired"]["patch"] == {"on": True, "timer": 30}


def test_conflicts_are_listed_the_newest_first(run: Run, store_option: str) -> None:
    """Of one twin or of all, in parts, for people and for programs."""
    out = run("conflicts", store_option).out
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == [
        f'lamp-1 v{version} desired.color.r device kept {{"g":1.0}} by lamp-1, lost null by app-1'
        for version in (3, 2, 1)
    ]
    newest, *older = rows(run("conflicts", "lamp-1", store_option, "--json").out)
    assert (newest["version"], newest["path"], newest["lost"]) == (3, ["color", "r"], None)
    part = run("conflicts", store_option, "--json", "--before", str(newest["id"]), "--limit", "1")
    assert rows(part.out) == older[:1]
    result = run("conflicts", "lamp-1", "--name", "net", store_option)
    assert result == (0, "", "no conflict of lamp-1/net is kept\n")


def test_a_write_that_lost_is_listed(run: Run, path: Path) -> None:
    """As the core found it."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        carry_out(
            store, update({"ssid": EVIL}, writer="app-2", key=NET, time=1_700_000_000_000_000), NET
        )
    [line] = run("conflicts", "lamp-1", "--name", "net", "--store", str(path)).out.splitlines()
    assert ' lamp-1/net v1 desired.ssid latest kept "home" by app-1, lost "\\u001b[2Jxyy' in line
    assert line.endswith("y… by app-2")
    assert len(line) < 300


def test_conflicts_are_read_page_after_page(
    run: Run, store_option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more is asked for than one answer holds."""
    monkeypatch.setattr("bridge.cli.conflicts._ROWS_PER_PAGE", 2)
    out = run("conflicts", store_option, "--json").out
    assert [row["version"] for row in rows(out)] == [3, 2, 1]


def test_writers_are_listed_and_forgotten(run: Run, store_option: str) -> None:
    """Each boot with its highest number and what is missing."""
    out = run("writers", "lamp-1", store_option).out
    header, line = out.splitlines()
    assert header.split() == ["WRITER", "SECTION", "BOOT", "SEQ", "LAST", "MISSING"]
    assert line.split()[:4] == ["lamp-1", "reported", '"b1"', "4"]
    assert line.endswith("2-3")
    document = json.loads(run("writers", "lamp-1", store_option, "--json").out)
    assert document["writers"][0]["boots"][0]["missing"] == [[2, 3]]
    result = run("writers", "lamp-1", "--forget", "lamp-1", store_option)
    assert result == (0, "lamp-1 has forgotten lamp-1\n", "")
    result = run("writers", "lamp-1", store_option)
    assert result == (0, "", "no writer of lamp-1 numbers its messages\n")
    result = run("writers", "lamp-1", "--forget", "lamp-1", store_option)
    assert result.status == ExitStatus.NOT_FOUND
    assert "remembers no writer lamp-1" in result.err


def test_a_forgotten_writer_is_json_for_programs(run: Run, store_option: str) -> None:
    """Of one section, where one was given."""
    arguments = ("--forget", "lamp-1", "--section", "reported", "--json")
    out = run("writers", "lamp-1", *arguments, store_option).out
    assert json.loads(out) == {
        "device": "lamp-1",
        "name": "",
        "writer": "lamp-1",
        "section": "reported",
    }
