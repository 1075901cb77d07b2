"""What is `BrokerLink`'s own: finding out the version of MQTT, and its one thread."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from bridge.broker import EmbeddedBroker
from bridge.config_models import EmbeddedConfig
from bridge.errors import ConnectRefused, LinkError
from bridge.link.base import Link, Publication, Session
from bridge.link.broker_link import BrokerLink
from tests.link.conftest import OpenLink, settings_for
from tests.link.owned_link import OwnedLink, within
from tests.support import scripted_broker as script
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.scripted_broker import Peer, ScriptedBroker


async def test_mqtt_5_is_preferred(mosquitto: Mosquitto, open_any: OpenLink) -> None:
    """A broker that speaks both is spoken to in MQTT 5."""
    owned = open_any(mosquitto.host, mosquitto.port)

    assert (await owned.start()).protocol == "5"


async def test_amqtt_is_spoken_to_in_3_1_1(tmp_path: Path, open_any: OpenLink) -> None:
    """It waits for the rest of a CONNECT in MQTT 5; the owner is not bothered with that."""
    broker = EmbeddedBroker(EmbeddedConfig(port=free_port()), tmp_path)
    async with broker:
        owned = open_any(broker.host, broker.port, username=broker.username)
        with capture_logs() as lines:
            session = await owned.start()

        assert session.protocol == "3.1.1"
        assert owned.errors.empty()
        assert "no answer in MQTT 5; trying 3.1.1" in [line["event"] for line in lines]
        await owned.publish("in/a", b"back")
        (message,) = await owned.take(1)
        owned.link.acknowledge([message])
        assert message.payload == b"back"
        await owned.fence()
        await within(owned.link.stop())


class _Versions:
    """A broker that speaks MQTT 3.1.1 only, and keeps what it was asked."""

    def __init__(self, answer_to_5: bytes) -> None:
        self.levels: list[int] = []
        self._answer_to_5 = answer_to_5
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def __call__(self, peer: Peer, _number: int) -> None:
        connect = await peer.expect(script.CONNECT)
        self.levels.append(connect.protocol_level)
        if connect.protocol_level == 5:
            peer.send(self._answer_to_5)
            return
        peer.send(script.connack(0, 4))
        subscribe = await peer.expect(script.SUBSCRIBE)
        peer.send(script.suback(subscribe.packet_id, 4, b"\x01"))
        self.peers.put_nowait(peer)
        await peer.gone()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed without an answer"),
        pytest.param(script.connack(1, 4), id="refused as 3.1.1 brokers do"),
        pytest.param(script.connack(0x84, 5), id="refused as MQTT 5 says"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28", id="not MQTT"),
    ],
)
async def test_the_other_version_is_tried_at_once_and_remembered(
    open_any: OpenLink, answer: bytes
) -> None:
    """However a broker says no to MQTT 5: one attempt is lost, and only the first time."""
    serve = _Versions(answer)
    async with ScriptedBroker(serve) as broker:
        owned = open_any(broker.host, broker.port, backoff_min_s=60, backoff_max_s=60)

        assert (await owned.start()).protocol == "3.1.1"
        assert serve.levels == [5, 4]
        assert owned.errors.empty()


async def test_what_worked_is_remembered(open_any: OpenLink) -> None:
    """After a lost connection the version that was found is used again."""
    serve = _Versions(b"")
    async with ScriptedBroker(serve) as broker:
        owned = open_any(broker.host, broker.port)
        await owned.start()

        (await within(serve.peers.get())).close()

        assert (await owned.next_session()).protocol == "3.1.1"
        assert serve.levels == [5, 4, 4]


async def test_the_versions_alternate_where_neither_is_answered(open_any: OpenLink) -> None:
    """What is upgraded, or replaced, or wakes up later is found in the end."""
    levels: list[int] = []

    async def serve(peer: Peer, number: int) -> None:
        connect = await peer.expect(script.CONNECT)
        levels.append(connect.protocol_level)
        if number < 5:
            return
        peer.send(script.connack(0, connect.protocol_level))
        subscribe = await peer.expect(script.SUBSCRIBE)
        peer.send(script.suback(subscribe.packet_id, connect.protocol_level, b"\x01"))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_any(broker.host, broker.port)
        await owned.start()

        assert levels == [5, 4, 5, 4, 5, 4]
        error = await owned.next_error()
        assert isinstance(error, ConnectRefused)
        assert "without an answer to CONNECT" in error.message


async def test_a_broker_that_is_just_stopping_is_not_taken_for_an_old_one(
    open_any: OpenLink,
) -> None:
    """Once MQTT 5 has worked, a connection that is closed unanswered does not cost it."""

    async def serve(peer: Peer, number: int) -> None:
        if number == 1:
            return
        await peer.accept_all()
        if number == 0:
            await connected.wait()
            return
        await peer.gone()

    connected = asyncio.Event()
    async with ScriptedBroker(serve) as broker:
        owned = open_any(broker.host, broker.port)
        await owned.start()
        connected.set()

        assert (await owned.next_session()).protocol == "5"


async def test_a_name_that_does_not_resolve_is_named(open_any: OpenLink) -> None:
    """The one line says which name, and where it was set; the link goes on."""
    owned = open_any("no-such-host.invalid", 1883)
    await owned.link.start(owned)

    error = await owned.next_error()

    assert isinstance(error, ConnectRefused)
    assert "no-such-host.invalid:1883 does not resolve" in error.message
    assert "broker.url" in error.hint
    assert error.recoverable


async def test_an_address_where_nothing_listens_is_named(open_any: OpenLink) -> None:
    """Connection refused, with the address and what to look at; the link goes on."""
    port = free_port()
    owned = open_any("localhost", port)
    await owned.link.start(owned)

    error = await owned.next_error()

    assert isinstance(error, ConnectRefused)
    assert error.message == f"nothing listens at localhost:{port}: connection refused"
    assert "broker.url" in error.hint
    assert error.recoverable


async def test_what_is_sent_in_one_turn_leaves_in_one_piece(open_any: OpenLink) -> None:
    """A hundred publishes are not a hundred system calls, nor a hundred packets of TCP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(script.connack(0, 5))
        await reader.read(1000)
        writer.write(script.suback(1, 5, b"\x01"))
        sizes.set_result(len(await reader.read(1_000_000)))
        writer.close()

    sizes: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        owned = open_any("127.0.0.1", server.sockets[0].getsockname()[1])
        await owned.start()
        assert owned.link.session is not None

        for _ in range(100):
            owned.link.publish(Publication("out/a", b"x" * 50))

        assert await within(sizes) > 100 * 50
        await owned.link.stop()


async def test_small_packets_do_not_wait_for_each_other(
    mosquitto: Mosquitto, open_any: OpenLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP_NODELAY is set before anything is sent."""
    connected: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    sock_connect = loop.sock_connect

    async def spy(connection: socket.socket, address: tuple[str, int]) -> None:
        connected.append(connection)
        await sock_connect(connection, address)

    monkeypatch.setattr(loop, "sock_connect", spy)
    owned = open_any(mosquitto.host, mosquitto.port)
    await owned.start()

    (connection,) = connected
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_listener_that_fails_ends_the_link_audibly(mosquitto: Mosquitto) -> None:
    """Whoever waits in `receive` learns that nothing will come."""

    class Failing:
        def connected(self, _session: Session) -> None:
            raise ZeroDivisionError

        def disconnected(self, _error: LinkError) -> None:
            raise AssertionError

    link: Link = BrokerLink(settings_for(mosquitto.host, mosquitto.port))
    with capture_logs() as lines:
        await link.start(Failing())
        with pytest.raises(LinkError) as caught:
            await within(link.receive(1, 1))

    assert not caught.value.recoverable
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["the link failed"]
    await link.stop()


async def test_a_link_is_started_once(mosquitto: Mosquitto, open_any: OpenLink) -> None:
    """A second start is a mistake of the program, and says so."""
    owned = open_any(mosquitto.host, mosquitto.port)
    await owned.start()

    with pytest.raises(RuntimeError):
        await owned.link.start(owned)


async def test_dropped_messages_are_logged(open_any: OpenLink) -> None:
    """A flood of QoS 0 is seen in the log, once for a while."""

    async def flood(peer: Peer, number: int) -> None:
        await peer.accept_all()
        peer.send(*(script.publish("in/a", b"x", 0) for _ in range(20)))
        peer.send(script.publish("in/a", b"last", 1))
        await peer.gone()

    async with ScriptedBroker(flood) as broker:
        owned = open_any(broker.host, broker.port, qos0_waiting_maximum=5)
        await owned.start()
        with capture_logs() as lines:
            assert [m.payload for m in await owned.take(6)][-1] == b"last"
            await owned.expect_none()

    (line,) = (line for line in lines if line["log_level"] == "warning")
    assert line["dropped_in_all"] == 15


async def test_a_broker_that_sends_without_end_is_left(open_any: OpenLink) -> None:
    """More unacknowledged messages than there are packet ids: memory is not for that."""
    flood = [script.publish("in/a", b"x", n, protocol_level=4) for n in [*range(1, 65_536), 1]]

    async def send(peer: Peer, number: int) -> None:
        await peer.accept_all()
        if number == 0:
            peer.send(*flood)
        await peer.gone()

    async with ScriptedBroker(send) as broker:
        owned = open_any(broker.host, broker.port, protocol="3.1.1")
        await owned.start()

        error = await owned.next_error()

        assert "more than can wait here: 65535 messages" in error.message
        assert error.recoverable
        assert (await owned.next_session()).generation == 2
        await owned.expect_none()


class _Ranges(Random):
    """Keeps the ranges that it was asked to draw from, in ms."""

    def __init__(self) -> None:
        super().__init__()
        self.upper_ends_ms: list[int] = []

    def uniform(self, a: float, b: float) -> float:
        self.upper_ends_ms.append(round(b * 1000))
        return a


async def test_pauses_grow_until_a_connection_has_stood_for_a_while(
    links: list[OwnedLink],
) -> None:
    """Connections that end at once, as where two bridges share a client id, do not reset them."""
    longest_s = 1.0

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all()
        if number == 3:
            await asyncio.sleep(1.2 * longest_s)
        if number > 3:
            await peer.gone()

    ranges = _Ranges()
    async with ScriptedBroker(serve) as broker:
        settings = settings_for(
            broker.host, broker.port, backoff_min_s=0.01, backoff_max_s=longest_s
        )
        owned = OwnedLink(lambda settings: BrokerLink(settings, random=ranges), settings)
        links.append(owned)
        await owned.link.start(owned)
        for _ in range(4):
            await owned.next_error()

    assert ranges.upper_ends_ms[:4] == [20, 40, 80, 20]


async def test_a_second_stop_does_not_hurry_the_first(open_any: OpenLink) -> None:
    """Both wait until the broker has taken the DISCONNECT and closed the connection."""

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all()
        await peer.expect(script.DISCONNECT)
        disconnected.set()
        await may_close.wait()

    disconnected, may_close = asyncio.Event(), asyncio.Event()
    async with ScriptedBroker(serve) as broker:
        owned = open_any(broker.host, broker.port)
        await owned.start()
        first = asyncio.create_task(owned.link.stop())
        await within(disconnected.wait())
        second = asyncio.create_task(owned.link.stop())
        await asyncio.wait({first, second}, timeout=0.1)
        assert not first.done()
        assert not second.done()

        may_close.set()

        await within(asyncio.gather(first, second))
