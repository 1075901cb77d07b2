"""The simulated application, with the network played by the test."""

from __future__ import annotations

from typing import cast

import pytest

from bridge.device import JsonObject
from device_sim import application as module
from device_sim.application import RETRY_AFTER_S, Application
from device_sim.payload import decode, encode
from device_sim.plan import DesiredChange
from device_sim.wire import Connection, Outgoing

_CHANGE = DesiredChange(0.0, "lamp-1", {"color": {"r": 9}})


class _Network:
    """Keeps what is published, and answers when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.published: list[Outgoing] = []
        self.touched: list[str] = []
        self.application = Application(
            "sync",
            {"lamp-1": "b007", "lamp-2": "b008"},
            "json",
            clock=lambda: self.now,
            touched=self.touched.append,
        )
        self.application.up(cast("Connection", self))

    def publish(self, message: Outgoing) -> None:
        self.published.append(message)

    def answer(self, **metadata: object) -> None:
        """Answer what was published last."""
        asked = (decode(self.published[-1].payload) or {})["$"]
        assert isinstance(asked, dict)
        reply = cast("JsonObject", {"$": {"id": asked["id"]} | metadata})
        topic = "sync/lamp-1/reply/simulator"
        self.application.client().received(topic, encode(reply, "json"))


@pytest.fixture
def network() -> _Network:
    """An application that is connected and has desired one change."""
    network = _Network()
    network.application.desire(_CHANGE)
    return network


def test_a_change_is_numbered_for_each_device(network: _Network) -> None:
    """So that a repeat is known, on each topic for itself."""
    network.application.desire(_CHANGE)
    network.application.desire(_CHANGE._replace(device="lamp-2"))
    assert [message.topic for message in network.published] == [
        "sync/lamp-1/desire/simulator",
        "sync/lamp-1/desire/simulator",
        "sync/lamp-2/desire/simulator",
    ]
    assert [decode(message.payload) for message in network.published] == [
        {"color": {"r": 9}, "$": {"id": "b007.1", "boot": "b007", "seq": 1}},
        {"color": {"r": 9}, "$": {"id": "b007.2", "boot": "b007", "seq": 2}},
        {"color": {"r": 9}, "$": {"id": "b008.1", "boot": "b008", "seq": 1}},
    ]


def test_an_answer_settles_a_change(network: _Network) -> None:
    """Its version and the fields that it set are remembered, to judge the twin by."""
    assert network.application.waits_for("lamp-1")
    network.answer(ok=True, version=5)
    assert not network.application.waits_for("lamp-1")
    assert network.application.counts.acknowledged == 1
    assert network.application.acknowledged_versions == {"lamp-1": 5}
    assert network.application.set_fields == {("lamp-1", ("color", "r")): 1}
    assert network.touched == ["lamp-1"]


def test_a_refusal_is_counted_with_its_reason(network: _Network) -> None:
    """It is not tried again."""
    network.answer(ok=False, code=403, error="forbidden", message="no")
    assert (network.application.counts.refused, network.application.unanswered) == (1, 0)
    assert network.application.last_refusal == "403 forbidden: no"


@pytest.mark.parametrize("code", [429, 503])
def test_what_is_refused_for_now_is_tried_again(network: _Network, code: int) -> None:
    """Too fast, and not ready, are not final."""
    network.answer(ok=False, code=code)
    assert network.application.unanswered == 1
    network.now = RETRY_AFTER_S
    network.application.flush()
    assert network.published[0] == network.published[1]


def test_what_is_not_answered_is_published_again(network: _Network) -> None:
    """After a while, and at once on a new connection; the same bytes."""
    network.application.flush()
    assert len(network.published) == 1
    network.now = RETRY_AFTER_S
    network.application.flush()
    network.application.down()
    network.application.up(cast("Connection", network))
    assert len(network.published) == 3
    assert len(set(network.published)) == 1
    assert network.application.counts.sent == 1


def test_changes_are_left_out_while_too_many_are_unanswered(
    network: _Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded."""
    monkeypatch.setattr(module, "UNANSWERED_MAX", 1)
    network.application.desire(_CHANGE)
    assert network.application.counts.left_out == 1
    network.answer(ok=True, version=1)
    network.application.desire(_CHANGE)
    assert network.application.counts.sent == 2


@pytest.mark.parametrize(
    "payload", [b"", b"[1]", b"{}", b'{"$":1}', b'{"$":{"id":"another"}}', b"\xc1"]
)
def test_what_is_no_answer_is_passed_over(network: _Network, payload: bytes) -> None:
    """Anyone may publish there where the broker has no access rules."""
    network.application.client().received("sync/lamp-1/reply/simulator", payload)
    assert network.application.unanswered == 1
