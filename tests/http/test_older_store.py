"""Twins that an older version of the bridge wrote, read and changed over HTTP."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.http.served import Served, http_config, serving
from tests.support.mosquitto import Mosquitto

DATA = Path(__file__).parents[1] / "store" / "data"

TWIN: dict[str, Any] = json.loads((DATA / "twin-format-1.json").read_text(encoding="utf-8"))
"""A twin's row in the first format of its memory."""

BEFORE: dict[str, Any] = json.loads(TWIN["state"])

PATH = "/v1/twins/lamp-1"


@pytest.fixture
def older(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Served]:
    """A bridge on a store of the first schema, in which a twin is of the first format too."""
    config = http_config(mosquitto, tmp_path)
    with closing(sqlite3.connect(config.store.path)) as connection:
        connection.executescript((DATA / "schema-1.sql").read_text(encoding="utf-8"))
        connection.execute(
            "UPDATE twin SET version = ?, revision = 8, at = ?, state = ?, internals = ? "
            "WHERE device = 'lamp-1' AND name = ''",
            (
                TWIN["version"],
                TWIN["at"],
                TWIN["state"].encode(),
                base64.b64decode(TWIN["internals"]),
            ),
        )
        connection.commit()
    with serving(config) as served:
        yield served


def test_a_patch_changes_what_it_names_and_keeps_the_rest(older: Served) -> None:
    """Both sections, the presence, and the versions go on from where they were."""
    read = older.ask("GET", PATH).json()
    assert {name: read[name] for name in BEFORE} == BEFORE
    patch = {"color": {"r": 9}, "new": [1]}
    answer = older.ask("PATCH", f"{PATH}/desired", json=patch)
    assert (answer.status_code, answer.json()["version"]) == (200, TWIN["version"] + 1)
    after = older.ask("GET", PATH).json()
    assert after["desired"] == {**BEFORE["desired"], **patch}
    assert after["reported"] == BEFORE["reported"]
    assert after["online"] == BEFORE["online"]


def test_what_is_remembered_of_the_twin_still_decides(older: Served) -> None:
    """Who has seen the old version may change it; an older stamp loses, as it did then."""
    etag = older.ask("GET", PATH).headers["etag"]
    late = {"level": 7, "$": {"t": TWIN["at"] - 10_000_000}}
    answer = older.ask("PATCH", f"{PATH}/reported", json=late)
    assert answer.status_code == 200, answer.text
    assert answer.json()["superseded"] is True
    answer = older.ask("PATCH", f"{PATH}/reported", json={"on": None}, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text
    rest = {name: value for name, value in BEFORE["reported"].items() if name != "on"}
    assert older.ask("GET", f"{PATH}/reported").json() == rest
    changes = older.ask("GET", f"{PATH}?since={TWIN['version']}").json()
    assert changes["reported"] == {"on": None}


def test_what_was_written_then_stands_beside_what_is_written_now(older: Served) -> None:
    """In the store, in the history, and in the list."""
    assert older.ask("PATCH", f"{PATH}/desired", json={"on": False}).status_code == 200
    (stored,) = older.store(lambda store: store.changed_since(TWIN["at"] + 1, None, 10))
    assert (stored.key.device, stored.version) == ("lamp-1", TWIN["version"] + 1)
    past = older.ask("GET", f"{PATH}/history").json()
    assert [change["version"] for change in past["history"]][:2] == [TWIN["version"] + 1, 3]
    assert older.ask("GET", "/v1/twins").json()["twins"]
