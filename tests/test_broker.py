"""The embedded broker: a real child process, real clients."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path

import aiomqtt
import pytest

from bridge.broker import LINE_BYTES, EmbeddedBroker, _lines, _probe, backoff
from bridge.config import EmbeddedConfig
from bridge.errors import BrokerError
from tests.support.mosquitto import free_port

_TIMEOUT_S = 30.0
_ROOT = Path(__file__).resolve().parent.parent

# Starts a broker as the bridge does, and says where it is.
_PARENT = """
import asyncio, sys
from pathlib import Path
from bridge.broker import EmbeddedBroker
from bridge.config import EmbeddedConfig

async def main():
    broker = EmbeddedBroker(EmbeddedConfig(port=int(sys.argv[1])), Path(sys.argv[2]))
    await broker.start()
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

# Starts the broker's process directly, with our own standard input, which we never close.
_PARENT_WITHOUT_PIPE = """
import os, subprocess, sys
process = subprocess.Popen(
    [sys.executable, "-m", "bridge.broker_process", "broker.yaml", f"127.0.0.1:{sys.argv[1]}",
     str(os.getpid())], stdout=subprocess.PIPE)
print(process.stdout.readline().decode(), flush=True)
process.wait()
"""


def _embedded(directory: Path, **settings: object) -> EmbeddedBroker:
    config = EmbeddedConfig.model_validate({"port": free_port()} | settings)
    return EmbeddedBroker(config, directory / "data")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """A running embedded broker."""
    async with _embedded(tmp_path) as started:
        yield started


def _client(
    broker: EmbeddedBroker, name: str, *, clean: bool = True, username: str | None = None
) -> aiomqtt.Client:
    return aiomqtt.Client(
        broker.host,
        broker.port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=clean,
        username=username,
        timeout=_TIMEOUT_S,
    )


async def _next(client: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(_TIMEOUT_S):
        return await anext(client.messages)


async def _script(
    source: str, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """Start a Python program that writes a line once its broker runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        source,
        *arguments,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() in (b"started", b"ready")
    return process


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while not condition():  # the broker tells nobody when it restarts
            await asyncio.sleep(0.02)


async def test_a_retained_message_is_there_for_a_later_subscriber(broker: EmbeddedBroker) -> None:
    """Also below a level that starts with `$`, where the bridge's own status lives."""
    async with _client(broker, "bridge") as client:
        await client.publish("sync/$bridge/status", b"up", qos=1, retain=True)
    async with _client(broker, "reader") as client:
        await client.subscribe("sync/$bridge/status", qos=1)
        message = await _next(client)
    assert (message.payload, message.retain) == (b"up", True)


@pytest.mark.parametrize(("username", "kept"), [("syncbridge", True), (None, False)])
async def test_only_a_named_user_has_its_messages_kept(
    broker: EmbeddedBroker, username: str | None, *, kept: bool
) -> None:
    """A session with a user name is there again and holds what came meanwhile."""
    async with _client(broker, "sleeper", clean=False, username=username) as client:
        await client.subscribe("sync/+/report", qos=1)
    async with _client(broker, "lamp-1") as client:
        await client.publish("sync/lamp-1/report", b"{}", qos=1)
        # Answered only after the publish before it was handed on.
        await client.subscribe("sync/lamp-1/state")
        await client.publish("sync/lamp-1/state", b"end", qos=1)
        await _next(client)
    async with _client(broker, "sleeper", clean=False, username=username) as client:
        await client.subscribe("end", qos=1)
        await client.publish("end", b"end", qos=1)
        first = await _next(client)
    assert str(first.topic) == ("sync/lamp-1/report" if kept else "end")


async def test_it_is_started_again_when_it_dies(broker: EmbeddedBroker) -> None:
    """The same address answers again after the process was killed."""
    killed = broker.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await _until(lambda: broker.pid not in (killed, None))
    await _probe(broker.host, broker.port)


async def test_it_can_be_stopped_while_it_waits_to_start_again(broker: EmbeddedBroker) -> None:
    """Stopping in the middle of a restart leaves no process behind."""
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    await _until(lambda: broker.pid is None)
    await broker.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(broker.host, broker.port)


async def test_stopping_frees_the_port_and_may_be_repeated(tmp_path: Path) -> None:
    """A second broker can take the port of a stopped one at once."""
    first = _embedded(tmp_path)
    await first.start()
    await first.stop()
    await first.stop()
    async with _embedded(tmp_path, port=first.port):
        pass


async def test_starting_twice_starts_one(broker: EmbeddedBroker) -> None:
    """A running broker is left as it is."""
    pid = broker.pid
    await broker.start()
    assert broker.pid == pid


async def test_stopping_does_not_wait_for_clients(broker: EmbeddedBroker) -> None:
    """Clients that stay connected do not hold up the end."""
    _, writer = await asyncio.open_connection(broker.host, broker.port)
    async with asyncio.timeout(_TIMEOUT_S):
        await broker.stop()
    writer.close()


async def test_a_port_in_use_is_refused_by_name_before_anything_starts(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """The message says which port and which option chooses another."""
    second = _embedded(tmp_path, port=broker.port)
    with pytest.raises(BrokerError, match=f"port {broker.port} .* is in use") as refused:
        await second.start()
    assert "--embedded-port" in refused.value.hint
    assert second.pid is None


async def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """A bridge killed with SIGKILL takes its broker with it."""
    port = free_port()
    parent = await _script(_PARENT, str(port), str(tmp_path))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    parent.kill()
    async with asyncio.timeout(_TIMEOUT_S):
        await parent.wait()
        await _until_dropped(reader)
    writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells only on Linux")
async def test_the_kernel_ends_it_even_where_the_pipe_stays_open(tmp_path: Path) -> None:
    """Another child of the bridge may hold the pipe; the death signal does not depend on it."""
    port = free_port()
    standard_input, held_open = os.pipe()
    try:
        parent = await _script(_PARENT_WITHOUT_PIPE, str(port), stdin=standard_input)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        parent.kill()
        async with asyncio.timeout(_TIMEOUT_S):
            await parent.wait()
            await _until_dropped(reader)
        writer.close()
    finally:
        os.close(standard_input)
        os.close(held_open)


async def test_it_ends_when_its_standard_input_is_closed(tmp_path: Path) -> None:
    """What ends it where no kernel tells it of its parent's death."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bridge.broker_process", "broker.yaml", f"127.0.0.1:{free_port()}"),
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
    )
    async with asyncio.timeout(_TIMEOUT_S):
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        assert process.stdin is not None
        process.stdin.close()
        await process.communicate()
    assert process.returncode == 0


async def test_ctrl_c_in_the_terminal_does_not_reach_it(broker: EmbeddedBroker) -> None:
    """It is in a session of its own, so that the bridge can still say goodbye to it."""
    assert broker.pid is not None
    assert os.getsid(broker.pid) != os.getsid(0)


async def test_why_it_did_not_start_is_said(tmp_path: Path) -> None:
    """The broker's own last words are in the error."""
    file = tmp_path / "mine.yaml"
    file.write_text("listeners: {default: {type: tcp, colour: red}}")
    with pytest.raises(BrokerError, match=r"did not start: .*colour"):
        await _embedded(tmp_path, configuration=file).start()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("a: 1", "no listeners: default"), ("[", "no listeners: default")],
)
def test_a_bad_configuration_file_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    """Missing, without a listener, or not YAML: found before anything starts."""
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BrokerError, match=said) as refused:
        _embedded(tmp_path, configuration=file)
    assert str(file) in refused.value.message


@pytest.mark.parametrize(
    ("bind", "host"),
    [("127.0.0.1:99", "127.0.0.1"), ("0.0.0.0:99", "127.0.0.1"), ("99", "127.0.0.1")],
)
def test_the_address_for_clients_follows_the_configuration(
    tmp_path: Path, bind: str, host: str
) -> None:
    """A broker on all interfaces is reached on loopback; the port is always the option's."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"listeners: {{default: {{bind: '{bind}'}}}}")
    broker = _embedded(tmp_path, configuration=file, port=1885)
    assert (broker.host, broker.port) == (host, 1885)


def test_the_shipped_configuration_listens_on_loopback_only(tmp_path: Path) -> None:
    """Nobody else on the network can reach it."""
    assert _embedded(tmp_path).host == "127.0.0.1"


def test_waiting_between_restarts_doubles_up_to_a_bound() -> None:
    """0.5 s, 1 s, 2 s and so on, and never more than half a minute."""
    assert list(islice(backoff(), 8)) == [0.5, 1, 2, 4, 8, 16, 30, 30]


async def test_a_line_without_end_is_cut_into_pieces() -> None:
    """What the broker writes takes bounded memory."""
    stream = asyncio.StreamReader()
    stream.feed_data(b"one\ntwo\n" + b"x" * (3 * LINE_BYTES))
    stream.feed_eof()
    lines = [line async for line in _lines(stream)]
    assert lines[:2] == ["one", "two"]
    assert max(map(len, lines)) <= 2 * LINE_BYTES
    assert sum(map(len, lines[2:])) == 3 * LINE_BYTES


async def _until_dropped(reader: asyncio.StreamReader) -> None:
    """Wait until the broker drops the connection, which it does only by ending."""
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        return
