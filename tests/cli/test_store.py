"""`syncbridge store`, with a bridge that holds the store and without one."""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cli import ExitStatus
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.store.base import StoreLimits
from bridge.store.codec import encode_internals
from bridge.store.restore import VERSION_STEP
from bridge.store.sqlite import SqliteStore
from tests.api.held import Holder, holding
from tests.cli.conftest import Run
from tests.store.samples import change, commit, load_one, twin

LIMITS = StoreLimits()


@pytest.fixture
def path() -> Iterator[Path]:
    """A store with one twin, in a directory whose path leaves room for a socket."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        path = Path(directory) / "store.db"
        internals = encode_internals(Twin(TwinKey("lamp-1")))
        with closing(SqliteStore.open(path, limits=LIMITS)) as store:
            commit(store, [twin()._replace(internals=internals)], [change(1)])
        yield path


@pytest.fixture
def held(path: Path) -> Iterator[Holder]:
    """The same, held by a bridge."""
    with holding(path) as holder:
        yield holder


@pytest.fixture(params=["free", "held"])
def store_option(request: pytest.FixtureRequest, path: Path) -> str:
    """The option that names a store that nobody holds, or that a bridge holds."""
    if request.param == "held":
        request.getfixturevalue("held")
    return f"--store={path}"


def damage(path: Path) -> None:
    """Make a store contradict itself."""
    with closing(SqliteStore.open(path, limits=LIMITS)) as store:
        store._connection.execute("UPDATE twin SET state = x'7b'")


def test_check_of_a_sound_store(run: Run, store_option: str) -> None:
    """Held or not: status 0."""
    assert run("store", "check", store_option) == (0, "the store is in order\n", "")
    result = run("store", "check", store_option, "--json")
    assert (result.status, json.loads(result.out)) == (0, {"ok": True, "problems": []})


def test_check_of_a_damaged_store(run: Run, path: Path) -> None:
    """Each problem is a line, and the status is 1."""
    damage(path)
    problem = "twin lamp-1: its state says version None, the twin is at 1"
    result = run("store", "check", "--store", str(path))
    assert (result.status, result.out) == (ExitStatus.FAILURE, problem + "\n")
    assert "restore a backup" in result.err
    result = run("store", "check", "--store", str(path), "--json")
    assert json.loads(result.out) == {"ok": False, "problems": [problem]}


def test_check_asks_the_bridge(run: Run, held: Holder, path: Path) -> None:
    """What the bridge finds is what is printed."""
    held.store._connection.execute("UPDATE twin SET state = x'7b'")
    result = run("store", "check", "--store", str(path))
    assert result.status == ExitStatus.FAILURE
    assert result.out.startswith("twin lamp-1:")


def test_backup_and_restore(run: Run, store_option: str, path: Path, tmp_path: Path) -> None:
    """A backup from a bridge or without one; the restored twin is above the old one."""
    result = run("store", "backup", "monday", store_option, "--json")
    target = tmp_path / "monday"
    assert json.loads(result.out) == {"path": str(target), "size_bytes": target.stat().st_size}
    elsewhere = path.with_name("elsewhere.db")
    result = run("store", "restore", "monday", "--store", str(elsewhere), "--json")
    report = json.loads(result.out)
    assert (report["twins"], report["raised_by"], report["replaced"]) == (1, VERSION_STEP, None)
    with closing(SqliteStore.open(elsewhere, limits=LIMITS)) as store:
        assert load_one(store).version == 1 + VERSION_STEP


def test_backup_overwrites_nothing(run: Run, store_option: str) -> None:
    """Held or not, the message is the same."""
    Path("monday").touch()
    result = run("store", "backup", "monday", store_option)
    assert result.status == ExitStatus.FAILURE
    assert "exists already" in result.err
    assert "hint: name a new file" in result.err


def test_restore_says_where_the_old_store_is(run: Run, path: Path) -> None:
    """Nothing is deleted."""
    assert run("store", "backup", "monday", "--store", str(path)).status == 0
    result = run("store", "restore", "monday", "--store", str(path))
    assert result.status == 0
    assert "restored 1 twins; their versions are 1048576 higher" in result.out
    [kept] = path.parent.glob("store.db.before-restore-*")
    assert f"kept as {kept}" in result.out


@pytest.mark.parametrize("command", ["restore", "import"])
def test_replacing_needs_the_bridge_stopped(
    run: Run, held: Holder, path: Path, command: str
) -> None:
    """The hint says so, and the store is left alone."""
    assert run("store", "backup", "monday", "--store", str(path)).status == 0
    result = run("store", command, "monday", "--store", str(path))
    assert result.status == ExitStatus.FAILURE
    assert "is held by process" in result.err
    assert "hint: stop the bridge first" in result.err
    assert load_one(held.store).version == 1


def test_export_and_import(run: Run, store_option: str, path: Path) -> None:
    """To a file and back; the twin is the same."""
    assert run("store", "export", "twins.jsonl", store_option) == (0, "", "")
    copy = path.with_name("copy.db")
    result = run("store", "import", "twins.jsonl", "--store", str(copy))
    assert result == (0, "imported 1 twins, 1 changes and 0 conflicts\n", "")
    with closing(SqliteStore.open(copy, limits=LIMITS)) as store:
        assert load_one(store).state == twin().state
    result = run("store", "import", "twins.jsonl", "--store", str(copy))
    assert result.status == ExitStatus.FAILURE
    assert "is not empty" in result.err


def test_export_through_a_pipe(
    run: Run, store_option: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard output of one is the standard input of the other."""
    exported = run("store", "export", store_option).out
    kinds = [json.loads(line)["kind"] for line in exported.splitlines()]
    assert kinds == ["header", "twin", "history", "end"]
    with io.TextIOWrapper(io.BytesIO(exported.encode())) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        copy = path.with_name("copy.db")
        result = run("store", "import", "-", "--store", str(copy), "--json")
    assert json.loads(result.out) == {"twins": 1, "history": 1, "conflicts": 0}


def test_export_overwrites_nothing(run: Run, path: Path) -> None:
    """An existing file stays."""
    Path("twins.jsonl").write_text("precious")
    result = run("store", "export", "twins.jsonl", "--store", str(path))
    assert result.status == ExitStatus.FAILURE
    assert Path("twins.jsonl").read_text() == "precious"


def test_export_that_fails_leaves_no_file(run: Run, path: Path, tmp_path: Path) -> None:
    """A file that is there is complete."""
    damage(path)
    result = run("store", "export", "twins.jsonl", "--store", str(path))
    assert result.status == ExitStatus.FAILURE
    assert "document of twin lamp-1 is not JSON" in result.err
    assert list(tmp_path.iterdir()) == []


def test_import_names_the_line(run: Run, path: Path) -> None:
    """And the store is not made."""
    Path("twins.jsonl").write_text("{}\n")
    fresh = path.with_name("fresh.db")
    result = run("store", "import", "twins.jsonl", "--store", str(fresh))
    assert result.status == ExitStatus.FAILURE
    assert "line 1 of the import: " in result.err
    assert not fresh.exists()


def test_missing_files_are_named(run: Run, path: Path) -> None:
    """A mistyped name is one clear line."""
    fresh = str(path.with_name("fresh.db"))
    for command, message in (
        (("check", "--store", fresh), "there is no store"),
        (("restore", "nothing", "--store", fresh), "there is no backup nothing"),
        (("import", "nothing", "--store", fresh), "nothing cannot be read: No such file"),
        (("export", "no/where", "--store", str(path)), "no/where cannot be written"),
    ):
        result = run("store", *command)
        assert result.status == ExitStatus.FAILURE
        assert message in result.err
        assert len(result.err.splitlines()) <= 2


def test_store_of_the_configuration_is_the_default(run: Run, path: Path) -> None:
    """`bridge.yaml` names the store of the bridge, and so of its administration."""
    Path("bridge.yaml").write_text(f"store:\n  path: {path}\n")
    assert run("store", "check").status == 0
    path.unlink()
    assert f"there is no store {path}" in run("store", "check").err


def test_where_a_store_was_looked_for_is_told_in_full(run: Run, tmp_path: Path) -> None:
    """The default is below the working directory, and that may be another one than the bridge's."""
    result = run("store", "check")
    assert result.status == ExitStatus.FAILURE
    assert f"there is no store {tmp_path}/syncbridge-data/store.db\n" in result.err
    assert "hint: run this where the bridge was started, or name its store: --store" in result.err


def test_holder_that_does_not_answer_is_told(run: Run, path: Path) -> None:
    """Held, but by no bridge: another command, or a bridge of another user."""
    with closing(SqliteStore.open(path, limits=LIMITS)):
        result = run("store", "check", "--store", str(path))
    assert result.status == ExitStatus.FAILURE
    assert "is held by process" in result.err
    assert "no bridge answers on" in result.err
