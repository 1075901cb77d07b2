"""MQTT connections on one event loop, against a real broker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bridge.errors import ConnectRefused
from device_sim import mqtt5_connection, mqtt311_connection
from device_sim.broker import Broker
from device_sim.endpoint import keep_connected
from device_sim.mqtt import open_network
from device_sim.mqtt5_network import Mqtt5Network
from device_sim.mqtt311_connection import Mqtt311Network
from device_sim.wire import Client, Connection, Note
from tests.device_sim.recorder import Recorder
from tests.device_sim.waiting import PATIENCE_S, wait_until
from tests.support.mosquitto import Mosquitto, free_port

NetworkClass = type[Mqtt5Network] | type[Mqtt311Network]


@pytest.fixture(params=[Mqtt5Network, Mqtt311Network], ids=["5", "3.1.1"])
def versions(request: pytest.FixtureRequest) -> NetworkClass:
    """Both versions of MQTT: what is shown of one holds for the other."""
    network: NetworkClass = request.param
    return network


def _nothing(topic: str, payload: bytes) -> None:
    """Take a message and do nothing."""


async def test_a_message_comes_back_to_who_subscribed(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """What one connection publishes another receives, byte for byte."""
    received: asyncio.Future[tuple[str, bytes]] = asyncio.get_running_loop().create_future()
    async with versions(Broker(port=mosquitto.port)) as network:
        await network.connect(
            Client("listener", (("a/+", 1),), lambda *message: received.set_result(message))
        )
        sender = await network.connect(Client("sender", (), _nothing))
        sender.publish(Note("a/b", b"\x00\xff"))
        async with asyncio.timeout(PATIENCE_S):
            assert await received == ("a/b", b"\x00\xff")


async def test_hundreds_of_connections_live_on_one_thread(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """More than `select` can watch in one process, and all of them receive."""
    got: set[str] = set()
    async with versions(Broker(port=mosquitto.port)) as network:
        connections = [
            await network.connect(Client(f"c{n}", ((f"c/{n}", 1),), lambda t, _: got.add(t)))
            for n in range(600)
        ]
        for number, connection in enumerate(connections):
            connection.publish(Note(f"c/{number}", b"x"))
        await wait_until(lambda: len(got) == 600)


@pytest.mark.parametrize("qos", [0, 1])
async def test_more_than_the_socket_takes_at_once_arrives_whole(
    mosquitto: Mosquitto, versions: NetworkClass, qos: int
) -> None:
    """Messages larger than any socket's buffer are written as the socket can take them."""
    sizes: list[int] = []
    async with versions(Broker(port=mosquitto.port)) as network:
        connection = await network.connect(
            Client("large", (("large", 1),), lambda _, payload: sizes.append(len(payload)))
        )
        for _ in range(20):
            connection.publish(Note("large", bytes(600_000), qos))
        await wait_until(lambda: len(sizes) == 20)
    assert set(sizes) == {600_000}


async def test_what_waits_is_sent_before_the_connection_is_closed(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """More than the broker takes unacknowledged, and then goodbye at once."""
    with Recorder(mosquitto.port, "many") as recorder:
        async with versions(Broker(port=mosquitto.port)) as network:
            sender = await network.connect(Client("sender", (), _nothing))
            for number in range(500):
                sender.publish(Note("many", str(number).encode()))
        await wait_until(lambda: len(recorder.messages) == 500)
    assert [int(payload) for _, payload, _ in recorder.messages] == list(range(500))


async def test_no_broker_is_a_refusal_that_names_it(versions: NetworkClass) -> None:
    """The message says where, the hint what to do."""
    port = free_port()
    async with versions(Broker(port=port)) as network:
        with pytest.raises(ConnectRefused, match=f"no broker at mqtt://127.0.0.1:{port}") as caught:
            await network.connect(Client("c", (), _nothing))
    assert caught.value.recoverable
    assert "--broker" in caught.value.hint


async def test_a_host_without_an_address_is_a_refusal(versions: NetworkClass) -> None:
    """A name that does not resolve is no crash."""
    async with versions(Broker(host="no-such-host.invalid")) as network:
        with pytest.raises(ConnectRefused, match="no-such-host"):
            await network.connect(Client("c", (), _nothing))


async def test_a_wrong_login_does_not_end_by_itself(tmp_path: Path, versions: NetworkClass) -> None:
    """The broker's own words, and not worth trying again."""
    with Mosquitto(tmp_path, extra="allow_anonymous false") as broker:
        async with versions(Broker(port=broker.port)) as network:
            with pytest.raises(ConnectRefused, match="refused 'c': Not authorized") as caught:
                await network.connect(Client("c", (), _nothing))
    assert not caught.value.recoverable


async def test_something_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, versions: NetworkClass
) -> None:
    """A port that accepts and says nothing is not a broker."""
    for module in (mqtt5_connection, mqtt311_connection):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with versions(Broker(port=silent.getsockname()[1])) as network:
            with pytest.raises(ConnectRefused, match="did not answer"):
                await network.connect(Client("c", (), _nothing))


async def test_a_connection_that_breaks_leaves_its_will(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """And one that is closed in good order does not."""
    with Recorder(mosquitto.port, "will/+") as recorder:
        async with versions(Broker(port=mosquitto.port)) as network:
            for name in ("broken", "closed"):
                connection = await network.connect(
                    Client(name, (), _nothing, Note(f"will/{name}", b"gone"))
                )
                if name == "broken":
                    connection.abandon()
                else:
                    await connection.close()
                await asyncio.wait_for(connection.lost.wait(), PATIENCE_S)
        await wait_until(lambda: bool(recorder.messages))
        recorder.publish("will/last", b"")
        await wait_until(lambda: len(recorder.messages) == 2)
    assert [topic for topic, _, _ in recorder.messages] == ["will/broken", "will/last"]


async def test_a_goodbye_is_heard_while_messages_pour_in(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """A socket that is closed with something unread in it takes the DISCONNECT from the broker."""
    with Recorder(mosquitto.port, "#") as recorder:
        async with versions(Broker(port=mosquitto.port)) as network:
            will = Note("will", b"gone")
            client = await network.connect(Client("guest", (("flood", 1),), _nothing, will))
            recorder.publish("flood", b"unread")
            # On purpose without a turn of the loop: the client must not read what the broker sent.
            _block_until(lambda: bool(recorder.messages))
            os.kill(mosquitto.pid, signal.SIGSTOP)
            try:
                client.publish(Note("last words", b""))
                closing = asyncio.create_task(client.close())
                await asyncio.sleep(0.1)
            finally:
                os.kill(mosquitto.pid, signal.SIGCONT)
            await closing
        await wait_until(lambda: len(recorder.messages) >= 2)
        recorder.publish("end", b"")
        await wait_until(lambda: recorder.messages[-1][0] == "end")
    assert [topic for topic, _, _ in recorder.messages] == ["flood", "last words", "end"]


def _block_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)


class _Endpoint:
    """Notes when it is connected."""

    def __init__(self) -> None:
        self.ups = 0
        self.downs = 0

    def client(self) -> Client:
        return Client("kept", (("kept", 1),), _nothing)

    def up(self, connection: Connection) -> None:  # noqa: ARG002
        self.ups += 1

    def down(self) -> None:
        self.downs += 1


async def test_an_endpoint_is_connected_again_when_the_broker_is_back(
    tmp_path: Path, versions: NetworkClass
) -> None:
    """The broker is killed and started anew."""
    endpoint = _Endpoint()
    broker = Mosquitto(tmp_path)
    with broker:
        async with versions(Broker(port=broker.port)) as network:
            task = keep_connected(network, endpoint, Random(1))
            keeping = asyncio.create_task(task)
            await wait_until(lambda: endpoint.ups == 1)
            broker.kill()
            await wait_until(lambda: endpoint.downs == 1)
            broker.start()
            await wait_until(lambda: endpoint.ups == 2)
            keeping.cancel()
            await asyncio.wait({keeping})
    assert endpoint.downs == 2


async def test_an_endpoint_is_not_connected_again_where_that_is_of_no_use(
    tmp_path: Path, versions: NetworkClass
) -> None:
    """A login that is wrong stays wrong."""
    with Mosquitto(tmp_path, extra="allow_anonymous false") as broker:
        async with versions(Broker(port=broker.port)) as network:
            keeping = keep_connected(network, _Endpoint(), Random(1))
            with pytest.raises(ConnectRefused, match="Not authorized"):
                await asyncio.wait_for(keeping, PATIENCE_S)


async def test_a_stalled_connection_neither_sends_nor_hears(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """Half open: the broker takes it for alive; a second one with its client id ends that."""
    got: list[bytes] = []
    with Recorder(mosquitto.port, "will/half") as recorder:
        async with versions(Broker(port=mosquitto.port)) as network:
            client = Client(
                "half",
                (("half", 1),),
                lambda _, payload: got.append(payload),
                Note("will/half", b""),
            )
            first = await network.connect(client)
            first.publish(Note("half", b"1"))
            await wait_until(lambda: len(got) == 1)
            first.stall()
            first.publish(Note("half", b"lost"))
            recorder.publish("half", b"unheard")
            assert not first.lost.is_set()
            first.desert()
            assert first.lost.is_set()
            second = await network.connect(client)
            second.publish(Note("half", b"2"))
            await wait_until(lambda: len(got) == 2)
        await wait_until(lambda: bool(recorder.messages))
    assert got == [b"1", b"2"]


async def test_a_session_that_is_taken_up_has_what_came_meanwhile(
    mosquitto: Mosquitto, versions: NetworkClass
) -> None:
    """And one that is not has nothing."""
    for clean, expected in ((False, [b"meanwhile", b"last"]), (True, [b"last"])):
        got: list[bytes] = []
        name = f"kept-{clean}"
        client = Client(
            name, ((name, 1),), lambda _, payload, got=got: got.append(payload), session_expiry_s=60
        )
        async with versions(Broker(port=mosquitto.port)) as network:
            first = await network.connect(client)
            first.abandon()
            with Recorder(mosquitto.port, "nothing") as other:
                other.publish(name, b"meanwhile")
            again = replace(client, clean=clean, session_expiry_s=0 if clean else 60)
            second = await network.connect(again)
            second.publish(Note(name, b"last"))
            await wait_until(lambda got=got: b"last" in got)
        assert got == expected


async def test_no_session_outlives_the_run(mosquitto: Mosquitto, versions: NetworkClass) -> None:
    """Nobody is to come back for it, and a broker would go on to queue for it."""
    got: list[bytes] = []
    client = Client(
        "guest", (("guest", 1),), lambda _, payload: got.append(payload), session_expiry_s=60
    )
    async with versions(Broker(port=mosquitto.port)) as network:
        await network.connect(client)
    with Recorder(mosquitto.port, "nothing") as other:
        other.publish("guest", b"meanwhile")
    async with versions(Broker(port=mosquitto.port)) as network:
        again = await network.connect(replace(client, clean=False))
        again.publish(Note("guest", b"last"))
        await wait_until(lambda: b"last" in got)
    assert got == [b"last"]


async def test_a_broker_is_asked_which_version_it_speaks(mosquitto: Mosquitto) -> None:
    """Mosquitto speaks 5; what says nothing at all is left to 3.1.1."""
    assert isinstance(await open_network(Broker(port=mosquitto.port), "auto"), Mqtt5Network)
    assert isinstance(await open_network(Broker(port=free_port()), "auto"), Mqtt311Network)
    assert isinstance(await open_network(Broker(port=free_port()), "5"), Mqtt5Network)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("mqtt://h", "h", 1883),
        ("mqtt://h:1884", "h", 1884),
        ("h:1884", "h", 1884),
        ("mqtt://[::1]:1884", "::1", 1884),
        ("mqtts://h", "h", 8883),
        ("mqtts://h:1884", "h", 1884),
    ],
)
def test_a_brokers_address_is_read(url: str, host: str, port: int) -> None:
    """With or without scheme and port; `mqtts` is over TLS."""
    assert Broker.parse(url) == Broker(host, port, tls=url.startswith("mqtts"))


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "wss://h",
        "mqtts://u:p@h",
        "mqtt://u:p@h",
        "mqtt://",
        "mqtt://h:x",
        "mqtt://h:0",
        "h/x",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=r"mqtt://|login|port"):
        Broker.parse(url)


def test_a_password_is_never_shown() -> None:
    """Neither as text nor in a traceback."""
    broker = Broker("h", 1, "user", "secret")
    assert "secret" not in f"{broker} {broker!r}"
