"""The simulator speaks TLS, and says what is wrong with a broker's certificate."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import BrokerConfig, Config, StoreConfig
from bridge.errors import ConfigError, ConnectRefused
from device_sim import Fleet, FleetOptions
from device_sim.broker import Broker
from device_sim.exits import ExitStatus
from device_sim.mqtt import MqttVersion
from device_sim.mqtt5_network import Mqtt5Network
from device_sim.mqtt311_connection import Mqtt311Network
from device_sim.wire import Client, Note
from tests.device_sim.waiting import PATIENCE_S
from tests.support.bridge import running_bridge
from tests.support.certificates import Authority
from tests.support.tls_site import FLAWS, TlsSite, tls_site

_Network = type[Mqtt5Network] | type[Mqtt311Network]
_VERSIONS = pytest.mark.parametrize("network", [Mqtt5Network, Mqtt311Network], ids=["5", "3.1.1"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsSite]:
    """One broker for all."""
    with tls_site(tmp_path_factory.mktemp("tls")) as running:
        yield running


def _broker(site: TlsSite, listener: str, **changed: Any) -> Broker:
    return Broker(port=site.port(listener), tls=True, **({"ca_file": site.ca} | changed))


def _with_certificate(site: TlsSite) -> Broker:
    certificate, key = site.client
    return _broker(site, "mutual", certificate_file=certificate, key_file=key)


def _nothing(topic: str, payload: bytes) -> None:
    """Take a message and do nothing."""


@_VERSIONS
async def test_large_messages_come_whole_through_tls(site: TlsSite, network: _Network) -> None:
    """Many records of TLS, some of which hold several packets; with a client certificate."""
    received: asyncio.Queue[bytes] = asyncio.Queue()
    payloads = [bytes([number]) * size for number, size in enumerate((1, 100_000, 2, 3, 40_000))]
    async with network(_with_certificate(site)) as connections:
        await connections.connect(
            Client("listener", (("a", 1),), lambda _topic, payload: received.put_nowait(payload))
        )
        sender = await connections.connect(Client("sender", (), _nothing))
        for payload in payloads * 5:
            sender.publish(Note("a", payload))
        async with asyncio.timeout(PATIENCE_S):
            assert [await received.get() for _ in payloads * 5] == payloads * 5


@_VERSIONS
async def test_packets_that_share_a_record_of_tls_are_all_taken(
    tmp_path: Path, network: _Network
) -> None:
    """The socket is not readable any more when the first one has been."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    is_5 = network is Mqtt5Network
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"\x20\x03\0\0\0" if is_5 else b"\x20\x02\0\0")
        publish = b"\x30\x05\0\x01a\0" if is_5 else b"\x30\x04\0\x01a"
        writer.write(b"".join(publish + bytes([number]) for number in range(9)))
        # DISCONNECT, or the end: a client that takes its leave waits until a broker closes.
        await reader.read(1024)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", ssl=context)
    port = server.sockets[0].getsockname()[1]
    broker = Broker(port=port, tls=True, ca_file=authority.file)
    async with server, network(broker) as connections:
        await connections.connect(
            Client("one", (), lambda _, payload: received.put_nowait(payload))
        )
        async with asyncio.timeout(PATIENCE_S):
            assert [await received.get() for _ in range(9)] == [bytes([n]) for n in range(9)]


@_VERSIONS
@pytest.mark.parametrize("flaw", FLAWS)
async def test_a_bad_certificate_is_refused_with_what_to_do(
    site: TlsSite, network: _Network, flaw: str
) -> None:
    """In the words of the options."""
    async with network(_broker(site, flaw)) as connections:
        with pytest.raises(ConnectRefused, match=FLAWS[flaw]) as refused:
            await connections.connect(Client("one", (), _nothing))
    assert f"mqtts://127.0.0.1:{site.port(flaw)}" in refused.value.message
    assert "broker." not in refused.value.hint
    assert refused.value.hint


@_VERSIONS
async def test_without_a_client_certificate_a_broker_that_wants_one_refuses(
    site: TlsSite, network: _Network
) -> None:
    """Which it does after the handshake in TLS 1.3."""
    async with network(_broker(site, "mutual")) as connections:
        with pytest.raises(ConnectRefused, match=r"client certificate|closed the connection"):
            await connections.connect(Client("one", (), _nothing))


def test_a_key_that_others_may_use_is_refused_by_the_simulator(
    site: TlsSite, tmp_path: Path
) -> None:
    """As by the bridge."""
    certificate, key = site.client
    copy = tmp_path / "open.key"
    copy.write_bytes(key.read_bytes())
    copy.chmod(0o644)
    with pytest.raises(ConfigError, match=r"key_file.*0644"):
        Mqtt5Network(_broker(site, "good", certificate_file=certificate, key_file=copy))


def _config(site: TlsSite, directory: Path) -> Config:
    """The bridge is on the listener without TLS of the same broker, below a prefix of the test."""
    return Config(
        broker=BrokerConfig(url=f"mqtt://127.0.0.1:{site.broker.port}"),
        store=StoreConfig(path=directory / "store.db"),
        prefix=directory.name,
    )


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_fleet_over_tls_has_the_twins_that_it_believes_in(
    site: TlsSite, tmp_path: Path, protocol: MqttVersion
) -> None:
    """Devices, the application and the observer."""
    options = FleetOptions(
        broker=_with_certificate(site),
        prefix=tmp_path.name,
        devices=5,
        rate_hz=5.0,
        desired_rate_hz=5.0,
        duration_s=1.0,
        converge_s=PATIENCE_S,
        find_s=PATIENCE_S,
        protocol=protocol,
    )
    async with running_bridge(_config(site, tmp_path)):
        summary = await Fleet(options).run()
    assert summary.ok, summary
    assert summary.twins_equal == 5


async def _run(*arguments: str) -> tuple[int | None, str]:
    """Call the program in a process of its own, and return its status and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "device_sim", *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_the_command_takes_the_files(site: TlsSite, tmp_path: Path) -> None:
    """And a certificate that is for another name ends it with status 3 and the reason."""
    certificate, key = (str(path) for path in site.client)
    words = ["run", "--devices", "2", "--for", "1s", "--converge", "30s", "--wait", "30s"]
    words += ["--prefix", tmp_path.name]
    words += ["--ca", str(site.ca), "--cert", certificate, "--key", key, "--broker"]
    url = "mqtts://127.0.0.1:{}"
    async with running_bridge(_config(site, tmp_path)):
        status, said = await _run(*words, url.format(site.port("mutual")))
        assert status == ExitStatus.OK, said
    status, said = await _run(*words, url.format(site.port("other name")))
    assert status == ExitStatus.UNAVAILABLE
    assert "is for another name" in said
