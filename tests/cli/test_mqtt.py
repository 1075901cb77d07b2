"""The blocking client, against a real broker."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from bridge.cli.mqtt import CONNECT_ATTEMPTS, WAITING_MESSAGES, BrokerClient
from bridge.config import Address
from bridge.errors import ConnectRefused, LinkError, LinkLost
from tests.cli.hasty_broker import HastyBroker
from tests.cli.program import WAIT_S
from tests.support.mosquitto import Mosquitto, free_port


def _address(broker: Mosquitto) -> Address:
    return Address(broker.host, broker.port)


def _fill(client: BrokerClient, topics: int) -> None:
    """Retain something on many topics."""
    publishes = [
        client._paho.publish(f"many/{number}", b"x" * 500, qos=1, retain=True)
        for number in range(topics)
    ]
    for publish in publishes:
        publish.wait_for_publish(WAIT_S)


def test_a_message_arrives(mosquitto: Mosquitto) -> None:
    """Published at QoS 1 and acknowledged, delivered to a subscription that was granted."""
    with BrokerClient(_address(mosquitto)) as client:
        client.subscribe(["a/+"])
        client.publish("a/b", b"hello")
        message = client.receive(WAIT_S)
        assert message is not None
        assert (message.topic, message.payload, message.retain) == ("a/b", b"hello", False)
        assert client.receive(0.0) is None


def test_the_replay_has_everything_that_is_retained(mosquitto: Mosquitto) -> None:
    """More than waits here at once, and without a pause at its end."""
    topics = WAITING_MESSAGES + 500
    with BrokerClient(_address(mosquitto)) as client:
        _fill(client, topics)
    with BrokerClient(_address(mosquitto)) as client:
        client.subscribe(["many/+"], qos=0)
        seen = {message.topic for message in client.replay()}
    assert len(seen) == topics


def test_a_replay_of_nothing_ends(mosquitto: Mosquitto) -> None:
    """It does not wait for a first message."""
    with BrokerClient(_address(mosquitto)) as client:
        client.subscribe(["nothing/+"])
        assert list(client.replay()) == []


def test_leaving_does_not_wait_for_unread_messages(mosquitto: Mosquitto) -> None:
    """Also where more came than may wait here."""
    with BrokerClient(_address(mosquitto)) as filler:
        _fill(filler, WAITING_MESSAGES + 500)
        with BrokerClient(_address(mosquitto)) as client:
            client.subscribe(["many/+"], qos=0)
            with client._changed:
                full = client._changed.wait_for(
                    lambda: len(client._messages) == WAITING_MESSAGES, WAIT_S
                )
            assert full


def test_nobody_listening_is_a_refusal_with_a_way_out() -> None:
    """The commands that lead to a broker are named."""
    address = Address("127.0.0.1", free_port())
    with pytest.raises(ConnectRefused) as raised, BrokerClient(address):
        pass
    assert f"127.0.0.1:{address.port}" in raised.value.message
    assert "--broker" in raised.value.hint
    assert "syncbridge run" in raised.value.hint


def test_a_name_that_does_not_resolve_is_a_refusal() -> None:
    """And not a traceback."""
    with pytest.raises(ConnectRefused), BrokerClient(Address("broker.invalid", 1883)):
        pass


def test_a_refused_login_is_told_from_an_absent_broker(tmp_path: Path) -> None:
    """It is the user who is wrong, not the address."""
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    with Mosquitto(
        tmp_path / "mosquitto", extra=f"allow_anonymous false\npassword_file {passwords}"
    ) as broker:
        client = BrokerClient(_address(broker), username="nobody", password="wrong")  # noqa: S106
        with pytest.raises(ConnectRefused, match=r"not authorized|user name"), client:
            pass


def test_a_silent_server_is_given_up() -> None:
    """Something that accepts connections and says nothing is no broker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", server.getsockname()[1])
        with pytest.raises(ConnectRefused, match="did not answer"):
            BrokerClient(address, timeout_s=0.3).__enter__()


def test_a_lost_connection_is_an_error_for_a_request(mosquitto: Mosquitto) -> None:
    """After what had arrived before has been read."""
    with BrokerClient(_address(mosquitto)) as client:
        client.subscribe(["a"])
        client.publish("a", b"1")
        first = client.receive(WAIT_S)
        assert first is not None
        mosquitto.kill()
        with pytest.raises(LinkLost):
            client.receive(WAIT_S)
        with pytest.raises(LinkError):
            client.publish("a", b"2")


def test_a_client_that_stays_comes_back(mosquitto: Mosquitto) -> None:
    """It connects and subscribes again, and says so."""
    notices: list[str] = []
    with BrokerClient(_address(mosquitto), stay=True, notice=notices.append) as client:
        client.subscribe(["a"])
        mosquitto.kill()
        back = threading.Thread(target=mosquitto.start)
        back.start()
        deadline = time.monotonic() + WAIT_S
        while not any("again" in notice for notice in notices[1:]):
            assert time.monotonic() < deadline
            client.receive(0.1)
        back.join()
        with BrokerClient(_address(mosquitto)) as other:
            other.publish("a", b"after")
        message = client.receive(WAIT_S)
    assert message is not None
    assert message.payload == b"after"
    assert "gone" in notices[0]


def test_a_client_that_stays_can_be_left_while_the_broker_is_away(mosquitto: Mosquitto) -> None:
    """Between two attempts to connect."""
    with BrokerClient(_address(mosquitto), stay=True) as client:
        client.subscribe(["a"])
        mosquitto.kill()
        client.receive(0.5)


def test_a_connection_that_is_ended_at_once_is_tried_again(mosquitto: Mosquitto) -> None:
    """The embedded broker does that to a client that comes while another one subscribes."""
    with HastyBroker(mosquitto, ends_first=3) as hasty:
        with BrokerClient(hasty.address) as client:
            client.subscribe(["a"])
            client.publish("a", b"1")
            assert client.receive(WAIT_S) is not None
        assert hasty.connections == 4


def test_a_connection_that_is_always_ended_at_once_is_given_up(mosquitto: Mosquitto) -> None:
    """After a few attempts, with an error that says what happened."""
    with HastyBroker(mosquitto, ends_first=1000) as hasty:
        with pytest.raises(LinkError, match="closed the connection"):
            BrokerClient(hasty.address).__enter__()
        assert hasty.connections == CONNECT_ATTEMPTS
