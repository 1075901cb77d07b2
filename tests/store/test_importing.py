"""Importing exports: the same store again, or nothing and the number of the line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from bridge.core.topics import TwinKey
from bridge.errors import StoreError, StoreLocked, StoreSchemaError
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.importing import LINE_BYTES_MAX, ImportReport, import_lines
from bridge.store.sqlite import SqliteStore
from tests.store.samples import change, commit, conflict, load_one, refused, twin

OpenSqlite = Callable[..., SqliteStore]


@pytest.fixture
def lines(open_sqlite: OpenSqlite) -> list[bytes]:
    """The export of a store.

    Line 1 is the header, 2 and 3 are twins, 4 and 5 changes, 6 is a conflict, and 7 the end.
    """
    store = open_sqlite("origin")
    commit(store, [twin("a", wanted=True), twin("a", name="gone", exists=False)])
    changes = [change(1, "a"), change(2, "a")]
    commit(store, [twin("a", revision=2, wanted=True)], changes, [conflict(2, "a")])
    store.mark_published([(TwinKey("a"), 1)])
    store.set_metadata("version_raise", "1048576")
    exported = list(store.export())
    store.close()
    assert len(exported) == 7
    return exported


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the new store is to be."""
    return tmp_path / "new" / "store.db"


@pytest.fixture(autouse=True)
def directory(path: Path) -> None:
    """Make the new store's directory."""
    path.parent.mkdir()


def files(path: Path) -> set[str]:
    """Return what lies in the new store's directory, but for the lock."""
    return {file.name for file in path.parent.iterdir()} - {"store.db.lock"}


def test_import_makes_the_same_store(
    open_sqlite: OpenSqlite, lines: list[bytes], path: Path
) -> None:
    """Everything comes back, with an identity of its own."""
    assert import_lines(path, lines) == ImportReport(twins=2, history=2, conflicts=1)
    origin = open_sqlite("origin")
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        assert list(store.export())[1:] == list(origin.export())[1:]
        assert load_one(store, "a") == load_one(origin, "a")
        assert [row for _, row in store.conflicts(None, None, 10)] == [conflict(2, "a")]
        assert store.check() == []
        facts, before = store.metadata(), origin.metadata()
        assert facts["version_raise"] == before["version_raise"]
        assert facts["instance"] != before["instance"]
    assert files(path) == {"store.db"}


def test_import_replaces_an_empty_store(lines: list[bytes], path: Path) -> None:
    """A store that a first start has made, and nothing has used."""
    SqliteStore.open(path, limits=StoreLimits()).close()
    import_lines(path, lines)
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        assert store.count_twins() == 1


def test_import_takes_lines_without_line_feeds(lines: list[bytes], path: Path) -> None:
    """And with carriage returns, as some editors leave them."""
    import_lines(path, [line.strip() + b"\r" for line in lines])


def test_import_refuses_a_store_that_holds_keys_of_devices(lines: list[bytes], path: Path) -> None:
    """They would be gone, and the devices would not be believed any more."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        store.device_keys.install("lamp-1", 1, 1, b"wrapped", 1)
    with pytest.raises(StoreError, match="is not empty"):
        import_lines(path, lines)


@pytest.mark.parametrize(
    "batch", [CommitBatch(twins=[twin(exists=False)]), CommitBatch(quarantined=[refused(1)])]
)
def test_import_refuses_a_store_in_use(lines: list[bytes], path: Path, batch: CommitBatch) -> None:
    """One remembered twin or quarantined message is enough."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        store.commit(batch)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not empty"):
        import_lines(path, lines)
    assert path.read_bytes() == before


def test_import_refuses_a_held_store(lines: list[bytes], path: Path) -> None:
    """The bridge has to be stopped."""
    with closing(SqliteStore.open(path, limits=StoreLimits())), pytest.raises(StoreLocked):
        import_lines(path, lines)


def test_import_refuses_something_else(lines: list[bytes], path: Path) -> None:
    """A file that is no store stays."""
    path.write_bytes(b"text" * 1000)
    with pytest.raises(StoreSchemaError):
        import_lines(path, lines)
    assert path.read_bytes() == b"text" * 1000


def changed(number: int, **fields: object) -> Callable[[list[bytes]], list[bytes]]:
    """Return a function that changes fields of one line; an ellipsis takes one away."""

    def change_line(lines: list[bytes]) -> list[bytes]:
        record = {**orjson.loads(lines[number - 1]), **fields}
        record = {name: value for name, value in record.items() if value is not ...}
        return [*lines[: number - 1], orjson.dumps(record), *lines[number:]]

    return change_line


@pytest.mark.parametrize(
    ("change_lines", "message"),
    [
        (lambda lines: lines[1:], "line 1 .*header is missing"),
        (changed(1, format="other"), "line 1 .*header is missing"),
        (changed(1, version=3), "line 1 .*newer than this program"),
        (changed(1, metadata=...), "line 1 .*'metadata' must be of type dict"),
        (changed(2, kind="other"), "line 2 .*'other' is unknown"),
        (changed(2, kind=...), "line 2 .*'kind' must be of type str, and is None"),
        (changed(2, device="a/b"), "line 2 .*not a device id"),
        (changed(2, name="state"), "line 2 .*not a name"),
        (changed(2, version=-1), "line 2 .*out of its range"),
        (changed(2, version=2**63), "line 2 .*out of its range"),
        (changed(2, version=True), "line 2 .*'version' must be of type int, and is True"),
        (changed(2, revision=0), "line 2 .*revision must be above 0"),
        (changed(2, published_version=9), "line 2 .*not above version"),
        (changed(2, internals="*"), "line 2 .*not base64"),
        (changed(2, state={"version": 7}), "contradicts itself: twin a: its state"),
        (lambda lines: [*lines[:3], lines[1]], "line 4 .*second time"),
        (lambda lines: [*lines[:4], lines[1]], "line 5 .*twin stands behind the history"),
        (lambda lines: [*lines[:3], lines[5], lines[1]], "line 5 .*or the conflicts"),
        (changed(4, device="nobody"), "line 4 .*not among the twins"),
        (lambda lines: [*lines[:4], lines[3]], "line 5 .*this version already"),
        (lambda lines: lines[:-1], "cut short"),
        (lambda lines: [*lines[:3], *lines[4:]], "line 6 .*here were 2, 1 and 1"),
        (lambda lines: [*lines[:5], *lines[6:]], "line 6 .*and 1 conflicts, here were 2, 2 and 0"),
        (changed(6, device="nobody"), "line 6 .*not among the twins"),
        (changed(6, path="color"), "line 6 .*'path' must be of type list"),
        (changed(6, lost_by=...), "line 6 .*'lost_by' must be of type str"),
        (changed(6, version=99), "contradicts itself: twin a: its conflict log"),
        (lambda lines: [*lines, lines[1]], "line 8 .*something follows the end"),
        (lambda lines: [*lines[:2], b"{", *lines[2:]], "line 3 .*not JSON"),
        (lambda lines: [*lines[:2], b"", *lines[2:]], "line 3 .*not JSON"),
        (lambda lines: [*lines[:2], b"[]", *lines[2:]], "line 3 .*not a JSON object"),
        (lambda _: [b" " * (LINE_BYTES_MAX + 1)], "line 1 .*longer than"),
        (lambda _: [], "cut short"),
    ],
)
def test_import_is_all_or_nothing(
    lines: list[bytes],
    path: Path,
    change_lines: Callable[[list[bytes]], list[bytes]],
    message: str,
) -> None:
    """Whatever is wrong with a line, the message names it, and no store is made."""
    with pytest.raises(StoreError, match=message):
        import_lines(path, change_lines(lines))
    assert files(path) == set()


def test_import_takes_an_export_of_version_1(lines: list[bytes], path: Path) -> None:
    """It has no conflicts, and its end does not count them."""
    lines = changed(7, conflicts=...)(changed(1, version=1)(lines))
    assert import_lines(path, [*lines[:5], lines[6]]) == ImportReport(2, 2, 0)


def test_import_that_fails_leaves_an_empty_store(lines: list[bytes], path: Path) -> None:
    """The store that was there is there, with the identity that it had."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        instance = store.metadata()["instance"]
    with pytest.raises(StoreError):
        import_lines(path, lines[:-1])
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        assert (store.metadata()["instance"], store.count_twins()) == (instance, 0)
    assert files(path) == {"store.db"}
