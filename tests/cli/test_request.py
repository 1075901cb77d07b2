"""Requests and replies, with a bridge that answers what a test wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.cli.request import Requester
from bridge.config import Address
from bridge.core.topics import TwinKey
from bridge.errors import DeviceError, NotAnswered, Refused
from tests.cli.program import WAIT_S
from tests.cli.scripted_bridge import ScriptedBridge
from tests.support.mosquitto import Mosquitto

_KEY = TwinKey("lamp-1")
_ONLINE = {"online": True, "version": "1", "instance": "x", "since": 1}


def _id(request: Mapping[str, object]) -> object:
    metadata = request["$"]
    assert isinstance(metadata, dict)
    return metadata["id"]


def _ok(_topic: str, request: Mapping[str, object]) -> list[Mapping[str, object]]:
    return [{"$": {"id": _id(request), "ok": True, "version": 7, "changed": True}}]


def _nothing(_topic: str, _request: Mapping[str, object]) -> list[Mapping[str, object]]:
    return []


@pytest.fixture
def client(mosquitto: Mosquitto) -> Iterator[BrokerClient]:
    """A connection to a fresh broker."""
    with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
        yield client


def _requester(client: BrokerClient, timeout_s: float = WAIT_S) -> Requester:
    return Requester(client, "sync", "me", timeout_s)


def test_a_request_has_an_id_and_its_reply_is_found(
    mosquitto: Mosquitto, client: BrokerClient
) -> None:
    """With the metadata that was asked for beside it."""
    with ScriptedBridge(mosquitto, _ok) as bridge:
        answer = _requester(client).ask(_KEY, "desire", {"on": True}, {"if": 3})
    assert answer.reply.version == 7
    topic, request = bridge.requests[0]
    assert topic == "sync/lamp-1/desire/me"
    assert request["on"] is True
    assert request["$"] == {"if": 3, "id": _id(request)}


def test_a_report_is_answered_to_the_device(mosquitto: Mosquitto, client: BrokerClient) -> None:
    """Not to the one who publishes in its place."""
    with ScriptedBridge(mosquitto, _ok) as bridge:
        _requester(client).ask(_KEY, "report", {"on": True}, {})
    assert bridge.requests[0][0] == "sync/lamp-1/report"


def test_replies_to_others_are_passed_over(mosquitto: Mosquitto, client: BrokerClient) -> None:
    """Another request of the same name, and what is no reply at all."""

    def script(topic: str, request: Mapping[str, object]) -> list[Mapping[str, object]]:
        other = {"$": {"id": "another", "ok": True, "version": 1, "changed": True}}
        return [other, {"no": "reply"}, *_ok(topic, request)]

    with ScriptedBridge(mosquitto, script):
        assert _requester(client).ask(_KEY, "desire", {}, {}).reply.version == 7


def test_a_refusal_is_raised_with_its_code(mosquitto: Mosquitto, client: BrokerClient) -> None:
    """And its text cannot do anything to a terminal."""

    def script(_topic: str, request: Mapping[str, object]) -> list[Mapping[str, object]]:
        refusal = {"ok": False, "code": 422, "error": "bad\x1b", "message": "no\nway"}
        return [{"$": {"id": _id(request), **refusal}}]

    with ScriptedBridge(mosquitto, script), pytest.raises(Refused) as raised:
        _requester(client).ask(_KEY, "desire", {}, {})
    assert raised.value.code == 422
    assert raised.value.message == r"refused with 422 bad\u001b: no\nway"


def test_without_a_bridge_there_is_a_hint_to_start_one(client: BrokerClient) -> None:
    """Nobody has ever said anything on this broker."""
    with pytest.raises(NotAnswered) as raised:
        _requester(client, timeout_s=0.2).ask(_KEY, "get", {}, {})
    assert "has ever left its status" in raised.value.message
    assert "syncbridge run" in raised.value.hint


def test_with_a_bridge_that_is_offline_nothing_is_sent(
    mosquitto: Mosquitto, client: BrokerClient
) -> None:
    """The broker would keep the request, and it would be carried out when nobody expects it."""
    with ScriptedBridge(mosquitto, _ok, status={**_ONLINE, "online": False}) as bridge:
        with pytest.raises(NotAnswered, match=r"offline.*nothing was sent"):
            _requester(client).ask(_KEY, "desire", {"on": True}, {})
        client.subscribe(["fence"])
        client.publish("fence", b"")
        assert client.receive(WAIT_S) is not None
        assert bridge.requests == []


def test_with_a_bridge_that_is_silent_the_hint_is_another(
    mosquitto: Mosquitto, client: BrokerClient
) -> None:
    """It is there, so it is the permissions, or the load."""
    with (
        ScriptedBridge(mosquitto, _nothing, status=_ONLINE),
        pytest.raises(NotAnswered, match="though one is online") as raised,
    ):
        _requester(client, timeout_s=0.2).ask(_KEY, "get", {}, {})
    assert "sync/lamp-1/reply/me" in raised.value.hint


def test_a_reply_without_the_twin_is_an_error(mosquitto: Mosquitto, client: BrokerClient) -> None:
    """As a bridge of another version might answer."""
    with ScriptedBridge(mosquitto, _ok):
        answer = _requester(client).ask(_KEY, "get", {}, {})
    with pytest.raises(DeviceError, match="reported is not an object"):
        answer.twin()


def test_a_message_without_reply_is_only_sent(mosquitto: Mosquitto, client: BrokerClient) -> None:
    """It has no id, and no `$` where there is nothing to say in it."""

    def script(topic: str, request: Mapping[str, object]) -> list[Mapping[str, object]]:
        return _ok(topic, request) if topic == "sync/lamp-1/get/me" else []

    with ScriptedBridge(mosquitto, script) as bridge:
        requester = _requester(client)
        requester.send(_KEY, "desire", {"a": 1}, {})
        requester.send(_KEY, "desire", {"a": 2}, {"full": True})
        requester.ask(_KEY, "get", {}, {})
    assert [request for _, request in bridge.requests[:2]] == [
        {"a": 1},
        {"a": 2, "$": {"full": True}},
    ]
