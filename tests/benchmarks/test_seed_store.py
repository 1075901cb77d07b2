"""The store of the benchmark suite is what a bridge would have left."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from benchmarks.fleet import device_name
from benchmarks.payloads import FIRST_NUMBER, make_payload
from benchmarks.seed_store import BATCH_TWINS, last_word, main, seed
from benchmarks.stored import read_store
from bridge.core.topics import TwinKey
from bridge.service.status import remembered_through
from bridge.store.base import StoreLimits
from bridge.store.codec import decode_twin
from bridge.store.sqlite import SqliteStore

TWINS = 12


def test_every_twin_is_there_with_its_change(tmp_path: Path) -> None:
    """State, memory and history agree, and nothing is left to publish."""
    path = tmp_path / "seeded.db"
    seed(path, TWINS)
    found = read_store(path)
    assert found.faults == []
    assert list(found.twins) == [device_name(index) for index in range(TWINS)]
    expected = orjson.loads(make_payload(FIRST_NUMBER))
    for device, row in found.twins.items():
        assert row.published_version == row.version == 1
        assert orjson.loads(row.state)["reported"] == expected
        assert decode_twin(row).reported.value == expected
        assert [change.version for change in found.history[device]] == [1]
        assert orjson.loads(found.history[device][0].patch) == expected


def test_a_batch_ends_where_the_fleet_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last one may be smaller."""
    assert BATCH_TWINS > TWINS
    monkeypatch.setattr("benchmarks.seed_store.BATCH_TWINS", 5)
    assert main(["--twins", str(TWINS), str(tmp_path / "seeded.db")]) == 0
    assert len(read_store(tmp_path / "seeded.db").twins) == TWINS
    assert f"{TWINS} twins" in capsys.readouterr().out


def test_a_broker_with_the_last_word_has_forgotten_nothing(tmp_path: Path) -> None:
    """A bridge that finds it does not publish a million twins again."""
    path = tmp_path / "seeded.db"
    seed(path, TWINS)
    word = last_word(path)
    store = SqliteStore.open(path, limits=StoreLimits())
    try:
        facts = store.metadata()
        assert store.load([TwinKey(device_name(0))])
    finally:
        store.close()
    last_since = int(facts["status_since"])
    assert remembered_through(word, facts["instance"], last_since, last_since + 1) is None
