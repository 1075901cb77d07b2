"""The socket: who gets it, who does not, and what is left of it."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from bridge.api import AdminClient, serve_administration
from bridge.api.socket_file import PATH_BYTES_MAX, listen, socket_path
from bridge.errors import AdminError, AdminUnreachable
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.held import Holder, holding


def test_socket_is_gone_at_the_end(short_path: Path) -> None:
    """Nothing stays beside the store but its lock."""
    with holding(short_path / "store.db"):
        assert (short_path / "store.db.sock").is_socket()
    assert {file.name for file in short_path.iterdir()} == {"store.db", "store.db.lock"}


def test_socket_of_a_dead_process_is_replaced(short_path: Path) -> None:
    """A bridge that was killed leaves its socket, and the next one takes the name."""
    path = short_path / "store.db"
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(socket_path(path)))
    left_over.close()
    with pytest.raises(AdminUnreachable, match="Connection refused"):
        AdminClient(path)
    with holding(path), AdminClient(path) as client:
        assert client.store()["twins"] == 0


def test_socket_that_answers_is_left_alone(held: Holder) -> None:
    """Another bridge's socket is not taken away."""
    path = socket_path(held.store.path)
    with pytest.raises(AdminError, match="another bridge answers"):
        listen(path)
    with AdminClient(held.store.path) as client:
        assert client.store()["twins"] == 0


def test_file_in_the_way_is_left_alone(short_path: Path) -> None:
    """Only sockets are ever replaced."""
    path = short_path / "store.db.sock"
    path.write_text("precious")
    with pytest.raises(AdminError, match="is in the way"):
        listen(path)
    assert path.read_text() == "precious"


def test_socket_in_a_missing_directory_is_refused(short_path: Path) -> None:
    """The message says why it cannot be made."""
    with pytest.raises(AdminError, match="No such file or directory"):
        listen(short_path / "none" / "store.db.sock")


def test_path_that_is_too_long_is_refused(short_path: Path) -> None:
    """The system would only say that the argument is invalid."""
    room = PATH_BYTES_MAX - len(str(short_path)) - len("/.db.sock")
    fits = short_path / f"{'x' * room}.db"
    listen(socket_path(fits)).close()
    with pytest.raises(AdminError, match=f"path of {PATH_BYTES_MAX + 1} bytes"):
        socket_path(short_path / f"{'x' * (room + 1)}.db")


def test_no_bridge_is_told(short_path: Path) -> None:
    """The hint says how to start one."""
    with pytest.raises(AdminUnreachable, match="no bridge answers") as caught:
        AdminClient(short_path / "store.db")
    assert "syncbridge run" in caught.value.hint
    assert caught.value.recoverable


async def test_signals_stay_with_the_bridge(short_path: Path) -> None:
    """The server takes over no handler, and its end does not raise a signal."""
    path = short_path / "store.db"
    holder = Holder(SqliteStore.open(path, limits=StoreLimits()))
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    try:
        async with serve_administration(holder, path):
            with AdminClient(path) as client:
                await asyncio.to_thread(client.store)
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        await asyncio.to_thread(holder.close)


async def test_end_does_not_wait_for_idle_clients(short_path: Path) -> None:
    """A client that keeps its connection open does not keep the bridge from stopping."""
    path = short_path / "store.db"
    holder = Holder(SqliteStore.open(path, limits=StoreLimits()))
    with socket.socket(socket.AF_UNIX) as idle:
        async with serve_administration(holder, path) as where:
            idle.connect(str(where))
            with AdminClient(path) as client:
                await asyncio.to_thread(client.store)
        assert not where.exists()
    await asyncio.to_thread(holder.close)


async def test_end_waits_for_nothing_where_nobody_is_connected(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for a moment: a bridge that is restarted is away for as short as can be."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def note(delay: float) -> None:
        slept.append(delay)
        await sleep(delay)

    path = short_path / "store.db"
    holder = Holder(SqliteStore.open(path, limits=StoreLimits()))
    async with serve_administration(holder, path):
        with AdminClient(path) as client:
            await asyncio.to_thread(client.store)
        monkeypatch.setattr(asyncio, "sleep", note)
    assert set(slept) == {0}
    await asyncio.to_thread(holder.close)


async def test_socket_of_a_successor_stays(short_path: Path) -> None:
    """Where the name has gone to somebody else, it is not taken away at the end."""
    path = short_path / "store.db"
    holder = Holder(SqliteStore.open(path, limits=StoreLimits()))
    async with serve_administration(holder, path) as where:
        where.rename(where.with_name("old.sock"))
        successor = listen(where)
    assert where.is_socket()
    successor.close()
    await asyncio.to_thread(holder.close)
