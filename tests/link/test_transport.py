"""How the name is resolved and TCP is connected, below TLS and WebSocket."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from bridge.errors import ConnectRefused
from bridge.link.transport import open_transport
from tests.link.owned_link import within
from tests.link.transports import Recorder, serving, settings_for
from tests.support.mosquitto import free_port


async def _wait_for_eof(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_bytes_may_be_written_when_it_returns() -> None:
    """The protocol has its transport, and small packets do not wait for each other."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        await reader.read()

    async with serving(echo) as port:
        recorder = Recorder()
        await open_transport(recorder, settings_for(port))

        recorder.transport.write(b"hello")

        await recorder.receive(b"hello")
        opened = recorder.transport.get_extra_info("socket")
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await recorder.leave()


async def test_the_next_address_is_tried_where_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name may stand for several addresses, and not all of them may work."""
    async with serving(_wait_for_eof) as port:
        _resolve_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", port))
        recorder = Recorder()

        await open_transport(recorder, settings_for(port))

        assert recorder.is_connected
        await recorder.leave()


async def test_the_first_failure_is_the_one_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no address answers; in words, and with what it was."""
    _resolve_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    recorder = Recorder()

    with pytest.raises(ConnectRefused, match="nothing listens at") as refused:
        await open_transport(recorder, settings_for(1))

    assert isinstance(refused.value.__cause__, ConnectionRefusedError)
    assert not recorder.is_connected


async def test_a_resolver_that_hangs_is_left() -> None:
    """The time-out is for the name as well."""
    hanging = asyncio.Event()

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        await hanging.wait()
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        with pytest.raises(ConnectRefused, match="timed out"):
            await open_transport(Recorder(), settings_for(1, connect_timeout_s=0.05))


@pytest.mark.parametrize("host", ["x" * 300, "a..b"])
async def test_what_cannot_be_a_name_does_not_resolve(host: str) -> None:
    """It is the same trouble as any other name that is not known."""
    with pytest.raises(ConnectRefused, match="does not resolve"):
        await open_transport(Recorder(), replace(settings_for(1), host=host))


@pytest.mark.parametrize("overrides", [{}, {"websocket_path": "/mqtt"}], ids=["tcp", "websocket"])
async def test_cancelled_it_leaves_nothing_open(overrides: dict[str, str]) -> None:
    """A link may be stopped at any moment; the server sees the end."""
    reached = asyncio.Event()
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        ended.set()

    async with serving(wait) as port:
        recorder = Recorder()
        task = asyncio.create_task(open_transport(recorder, settings_for(port, **overrides)))
        await within(reached.wait())
        task.cancel()
        await asyncio.wait({task})
        await recorder.leave()

        await within(ended.wait())


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    async def getaddrinfo(
        *_: object, **__: object
    ) -> list[tuple[socket.AddressFamily, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
