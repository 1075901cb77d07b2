"""Contract: how a link comes up, goes down, comes back, and gives up."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiomqtt
import pytest

from bridge.errors import ConnectRefused, LinkError, LinkLost
from bridge.link.base import Publication
from tests.link.conftest import OpenLink, Variant
from tests.link.owned_link import send, texts, within
from tests.link.relay import Relay
from tests.support.mosquitto import Mosquitto

_ROOT = Path(__file__).parents[2]


async def test_a_connection_tells_what_was_granted(
    mosquitto: Mosquitto, open_link: OpenLink, variant: Variant
) -> None:
    """Generation, session and version are known; all filters were granted."""
    owned = open_link(mosquitto.host, mosquitto.port)
    assert owned.link.session is None

    session = await owned.start()

    assert (session.generation, session.session_present) == (1, False)
    assert (session.protocol, session.refused_filters) == (variant.protocol, ())
    assert owned.link.session == session


async def test_a_link_waits_for_a_broker_that_is_not_there_yet(
    tmp_path: Path, open_link: OpenLink
) -> None:
    """The order in which bridge and broker are started does not matter."""
    broker = Mosquitto(tmp_path)
    owned = open_link(broker.host, broker.port)
    await owned.link.start(owned)
    for _ in range(2):
        error = await owned.next_error()
        assert isinstance(error, ConnectRefused)
        assert error.recoverable

    try:
        await asyncio.to_thread(broker.start)
        assert (await owned.next_session()).generation == 1
    finally:
        broker.stop()


async def test_a_link_comes_back_after_a_restart_without_its_session(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """A broker that kept nothing is told from one that did."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()

    mosquitto.kill()

    error = await owned.next_error()
    assert isinstance(error, LinkLost)
    assert error.recoverable
    assert owned.link.session is None
    await asyncio.to_thread(mosquitto.start)
    session = await owned.next_session()
    assert (session.generation, session.session_present) == (2, False)
    await send(mosquitto, "x")
    assert texts(await owned.take(1)) == ["x"]


async def test_a_link_comes_back_after_a_restart_with_its_session(
    tmp_path: Path, open_link: OpenLink
) -> None:
    """What a broker that persists had accepted comes again after it was killed."""
    with Mosquitto(tmp_path, persistence=True) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        await send(broker, "x")
        await owned.take(1)

        # In good order: on which autosave a SIGKILL hits is the broker's matter.
        broker.stop()
        await asyncio.to_thread(broker.start)

        assert (await owned.next_session()).session_present
        assert texts(await owned.take(1)) == ["x"]


async def test_a_dead_network_is_noticed(relay: Relay, open_link: OpenLink) -> None:
    """Where nothing comes and nothing fails, the keep alive ends the connection."""
    owned = open_link(relay.host, relay.port, keepalive_s=1)
    await owned.start()

    relay.freeze()

    error = await owned.next_error()
    assert isinstance(error, LinkLost)
    assert "silent" in error.message
    relay.thaw()
    assert (await owned.next_session()).generation == 2


async def test_an_idle_connection_stays(relay: Relay, open_link: OpenLink) -> None:
    """The keep alive keeps alive what nobody uses for longer than it."""
    owned = open_link(relay.host, relay.port, keepalive_s=1)
    await owned.start()

    await asyncio.sleep(3.5)

    assert owned.errors.empty()
    await owned.fence()


async def test_a_wrong_password_ends_the_link(tmp_path: Path, open_link: OpenLink) -> None:
    """Only a person can correct it, so nothing is tried again, and `receive` says why."""
    with Mosquitto(tmp_path, users={"bridge": "right"}) as broker:
        owned = open_link(broker.host, broker.port, username="bridge", password="wrong")  # noqa: S106
        await owned.link.start(owned)

        error = await owned.next_error()

        assert isinstance(error, ConnectRefused)
        assert not error.recoverable
        assert "broker.username" in error.hint
        with pytest.raises(ConnectRefused) as caught:
            await within(owned.link.receive(1, 1))
        assert caught.value is error
        assert owned.sessions.empty()


async def test_the_right_password_opens_the_link(tmp_path: Path, open_link: OpenLink) -> None:
    """User and password reach the broker."""
    with Mosquitto(tmp_path, users={"bridge": "right"}) as broker:
        owned = open_link(broker.host, broker.port, username="bridge", password="right")  # noqa: S106
        await owned.start()


async def test_stop_ends_whoever_waits(mosquitto: Mosquitto, open_link: OpenLink) -> None:
    """`receive` does not wait for messages that cannot come any more; a second stop is none."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    receiving = asyncio.create_task(owned.link.receive(1, 1))
    await asyncio.sleep(0)

    await within(asyncio.gather(owned.link.stop(), owned.link.stop()))

    with pytest.raises(LinkError) as caught:
        await within(receiving)
    assert not caught.value.recoverable
    assert owned.errors.empty()


async def test_a_link_that_was_never_started_can_be_stopped(open_link: OpenLink) -> None:
    """Nothing happens, and nothing hangs."""
    owned = open_link("127.0.0.1", 1)

    await within(owned.link.stop())


async def test_a_link_is_stopped_while_it_connects(relay: Relay, open_link: OpenLink) -> None:
    """A broker that does not answer cannot hold up the end of the program."""
    relay.freeze()
    owned = open_link(relay.host, relay.port)
    await owned.link.start(owned)
    await asyncio.sleep(0.05)

    await within(owned.link.stop())

    assert owned.sessions.empty()


async def test_the_will_is_not_published_at_a_stop(
    mosquitto: Mosquitto, device: aiomqtt.Client, open_link: OpenLink
) -> None:
    """A bridge that is stopped says itself what is to be said, also under load."""
    await device.subscribe("status", qos=1)
    owned = open_link(mosquitto.host, mosquitto.port, will=lambda: Publication("status", b"died"))
    await owned.start()
    # Unread messages on the way to us must not turn the end of the connection into a reset.
    await send(mosquitto, *(["x" * 10_000] * 50))

    await owned.link.stop()

    await device.publish("status", "after", qos=1)
    assert (await within(anext(aiter(device.messages)))).payload == b"after"


_PROCESS = """
import asyncio, sys
from bridge.link.base import LinkSettings, Publication
from bridge.link.broker_link import BrokerLink

class Listener:
    def connected(self, session):
        print("connected", flush=True)
    def disconnected(self, error):
        raise error

async def main(port, protocol):
    settings = LinkSettings("127.0.0.1", int(port), "bridge", (),
                            will=lambda: Publication("status", b"died", True), protocol=protocol)
    link = BrokerLink(settings)
    await link.start(Listener())
    await link.receive(1, 1)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_the_will_is_published_when_the_process_dies(
    mosquitto: Mosquitto, device: aiomqtt.Client, variant: Variant
) -> None:
    """SIGKILL leaves no time to say anything; the broker does, and retains it."""
    await device.subscribe("status", qos=1)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROCESS,
        str(mosquitto.port),
        variant.protocol,
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        assert await within(process.stdout.readline()) == b"connected\n"
    finally:
        process.kill()
        await within(process.wait())

    message = await within(anext(aiter(device.messages)))

    assert message.payload == b"died"
