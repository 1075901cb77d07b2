"""Administration from end to end: the client, the socket, the routes, the store."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import orjson
import pytest

from bridge import __version__
from bridge.api import AdminClient
from bridge.api.requests import BODY_BYTES_MAX
from bridge.api.socket_file import socket_path
from bridge.core.topics import TwinKey
from bridge.errors import AdminError, AdminRefused
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.held import Holder
from tests.store.samples import change, commit, refused, twin


@pytest.fixture
def http(held: Holder) -> Iterator[httpx.Client]:
    """HTTP on the socket, as another program would speak it."""
    transport = httpx.HTTPTransport(uds=str(socket_path(held.store.path)))
    with httpx.Client(transport=transport, base_url="http://bridge", trust_env=False) as client:
        yield client


def test_only_the_owner_may_use_the_socket(held: Holder) -> None:
    """Whoever can open it can read every twin."""
    assert stat.S_IMODE(socket_path(held.store.path).stat().st_mode) == 0o600


def test_health(http: httpx.Client) -> None:
    """It answers when the store does."""
    answer = http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})


def test_store_is_described(held: Holder, client: AdminClient) -> None:
    """Where it is, who runs it, what it holds."""
    commit(held.store, [twin("a"), twin("b", exists=False)])
    assert client.store() == {
        "path": str(held.store.path),
        "version": __version__,
        "twins": 1,
        "metadata": held.store.metadata(),
    }


def test_check_tells_what_is_wrong(held: Holder, client: AdminClient) -> None:
    """Nothing, or a line for each problem."""
    commit(held.store, [twin("a")])
    assert client.check() == []
    held.store._connection.execute("UPDATE twin SET state = x'7b'")
    assert client.check() == ["twin a: its state says version None, the twin is at 1"]


def test_backup_is_written_by_the_bridge(held: Holder, client: AdminClient, tmp_path: Path) -> None:
    """A whole store; the second time the target is in the way."""
    commit(held.store, [twin("a")])
    target = tmp_path / "backup"
    assert client.backup(target) == target.stat().st_size
    with closing(SqliteStore.open(target, limits=StoreLimits())) as backup:
        assert backup.count_twins() == 1
    with pytest.raises(AdminRefused, match="exists already") as caught:
        client.backup(target)
    assert caught.value.status == 409
    assert caught.value.hint == "name a new file; none is overwritten"


def test_relative_target_of_a_backup_is_the_clients(
    client: AdminClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge may run in another directory."""
    monkeypatch.chdir(tmp_path)
    client.backup(Path("backup"))
    assert (tmp_path / "backup").is_file()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"path": "relative"}', 400, "`path` must be an absolute path"),
        (b'{"path": 1}', 400, "`path` must be an absolute path"),
        (b"{}", 400, "`path` must be an absolute path"),
        (b"[]", 400, "the body is not a JSON object"),
        (b"{", 400, "the body is not JSON"),
        (b" " * (BODY_BYTES_MAX + 1), 413, "a body has at most"),
        (b'{"path": "/nowhere/backup"}', 409, "the directory /nowhere does not exist"),
    ],
)
def test_bad_backup_request_is_a_problem(
    http: httpx.Client, body: bytes, status: int, detail: str
) -> None:
    """Each is refused with problem details that say what is wrong."""
    answer = http.post("/v1/store/backup", content=body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert detail in answer.json()["detail"]


def test_export_is_the_stores_own(held: Holder, client: AdminClient) -> None:
    """Line for line, over many pieces."""
    commit(held.store, [twin(f"d{i}") for i in range(3000)], [change(1, "d7")])
    exported = list(client.export())
    assert exported == list(held.store.export())
    assert sum(map(len, exported)) > 3 * 256 * 1024


def test_export_does_not_hold_up_the_store(held: Holder, client: AdminClient) -> None:
    """A client that reads slowly sees one moment, while commits go on."""
    commit(held.store, [twin(f"d{i}") for i in range(3000)])
    lines = client.export()
    next(lines)
    commit(held.store, [twin("late")])
    assert orjson.loads([*lines][-1])["twins"] == 3000


def test_export_that_nobody_reads_to_its_end_lets_go(
    held: Holder, client: AdminClient, http: httpx.Client
) -> None:
    """A client that goes away leaves no open snapshot, which would let the log grow."""
    commit(held.store, [twin(f"d{i}") for i in range(20_000)])
    lines = client.export()
    next(lines)
    with held.store._readers._changed:
        assert held.store._readers._open
    lines.close()
    with held.store._readers._changed:
        let_go = held.store._readers._changed.wait_for(
            lambda: not held.store._readers._open, timeout=30
        )
    assert let_go
    assert http.get("/healthz").status_code == 200


def test_export_of_a_store_that_cannot_be_read_is_a_problem(
    held: Holder, client: AdminClient
) -> None:
    """Told by the status where nothing was sent yet, else by an end that is missing."""
    commit(held.store, [twin("a")])
    held.store._connection.execute("UPDATE twin SET state = x'7b'")
    with pytest.raises(AdminRefused, match="document of twin a is not JSON") as caught:
        list(client.export())
    assert caught.value.status == 500
    commit(held.store, [twin(f"d{i}") for i in range(3000)])
    held.store._connection.execute("UPDATE twin SET state = x'7b7d' WHERE device = 'a'")
    held.store._connection.execute("UPDATE twin SET state = x'7b' WHERE device = 'd2999'")
    with pytest.raises(AdminError, match="did not answer to the end"):
        list(client.export())


def test_history_comes_in_pages(held: Holder, client: AdminClient) -> None:
    """The newest first; the next page is below the last version."""
    commit(held.store, [twin(version=5)], [change(version) for version in range(1, 6)])
    key = TwinKey("lamp-1")
    page = client.history(key, limit=2)
    assert (page["device"], page["name"]) == ("lamp-1", "")
    newest = change(5)
    rows = page["history"]
    assert isinstance(rows, list)
    assert rows[0] == {
        "version": 5,
        "at": newest.at,
        "stamp": newest.stamp,
        "writer": "app-1",
        "section": "desired",
        "patch": {"level": 5},
        "previous": {"level": None},
    }
    following = client.history(key, below_version=4)["history"]
    assert isinstance(following, list)
    assert [row["version"] for row in following] == [3, 2, 1]


def test_history_of_a_named_twin_is_its_own(held: Holder, client: AdminClient) -> None:
    """The name stands in the path."""
    commit(held.store, [twin(name="config"), twin()], [change(1, name="config")])
    rows = client.history(TwinKey("lamp-1", "config"))["history"]
    assert isinstance(rows, list)
    assert len(rows) == 1
    assert client.history(TwinKey("lamp-1"))["history"] == []


def test_history_of_an_unknown_twin_is_not_found(client: AdminClient) -> None:
    """404, and the twin is named."""
    with pytest.raises(AdminRefused, match="there is no twin nobody/x") as caught:
        client.history(TwinKey("nobody", "x"))
    assert caught.value.status == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=%C2%B2", "limit=-1"])
def test_limit_out_of_its_range_is_a_problem(http: httpx.Client, query: str) -> None:
    """The answer says what the range is."""
    answer = http.get(f"/v1/twins/a/history?{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "`limit` must be an integer from 1 to 200"


def test_quarantine_shows_text_and_bytes(held: Holder, client: AdminClient) -> None:
    """A payload is text where it is UTF-8, else base64."""
    held.store.commit(CommitBatch(quarantined=[refused(1, b"[1]"), refused(2, b"\xff\x00")]))
    rows = client.quarantine(limit=2)["quarantine"]
    assert isinstance(rows, list)
    binary, text = rows
    assert (text["topic"], text["code"], text["payload"]) == ("sync/d1/report", 400, "[1]")
    assert base64.b64decode(binary["payload_base64"]) == b"\xff\x00"
    assert "payload" not in binary


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/store/check", 405), ("DELETE", "/v1/store", 405)],
)
def test_unknown_request_is_a_problem(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    """Also what no route answers has problem details."""
    answer = http.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code == status
    assert answer.json()["detail"].startswith(f"{method} {path}: ")


def test_error_in_the_program_is_told_and_survived(
    held: Holder, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is in the log, not in the answer."""
    with monkeypatch.context() as patch:
        patch.setattr(held.store, "count_twins", lambda: 1 // 0)
        answer = http.get("/v1/store")
    assert (answer.status_code, answer.json()["detail"]) == (
        500,
        "an error in the program; see the log",
    )
    assert http.get("/v1/store").status_code == 200


def test_closed_store_is_a_problem(held: Holder, client: AdminClient) -> None:
    """An administrator who comes too late is told so."""
    held.store.close()
    with pytest.raises(AdminRefused) as caught:
        client.store()
    assert caught.value.status == 409
