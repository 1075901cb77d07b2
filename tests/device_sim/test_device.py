"""One simulated device, with the network played by the test."""

from __future__ import annotations

import itertools
from typing import cast

import pytest

from bridge.device import Answered, JsonObject
from device_sim import device as module
from device_sim.device import WINDOW, SimulatedDevice
from device_sim.kinds import KINDS
from device_sim.payload import decode, encode
from device_sim.wire import Connection, Outgoing

LAMP = "lamp-1"


class _Network:
    """Stands where the connection would: keeps what is published, and delivers what it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.published: list[Outgoing] = []
        self.answers: list[tuple[Answered, float]] = []
        self.version = 0
        self.device = SimulatedDevice(
            LAMP,
            KINDS["lamp"],
            clock=lambda: self.now,
            answered=lambda _, answer, sent_at: self.answers.append((answer, sent_at)),
            touched=lambda _: None,
        )
        self.device.switch_on("b007", prefix="sync", encoding="json")

    def publish(self, message: Outgoing) -> None:
        self.published.append(message)

    def connect(self) -> None:
        self.device.up(cast("Connection", self))

    def reports(self) -> list[JsonObject]:
        """Return the published reports, repeats too."""
        topic = f"sync/{LAMP}/report"
        return [decode(each.payload) or {} for each in self.published if each.topic == topic]

    def patches(self) -> list[JsonObject]:
        """Return what the reports patch."""
        return [
            {key: value for key, value in report.items() if key != "$"} for report in self.reports()
        ]

    def answer(self, report: JsonObject, **metadata: object) -> None:
        self.version += 1
        asked = report["$"]
        assert isinstance(asked, dict)
        reply = {"$": {"id": asked["id"], "ok": True, "version": self.version} | metadata}
        self._deliver(f"sync/{LAMP}/reply/{LAMP}", encode(cast("JsonObject", reply), "json"))

    def send_delta(self, state: JsonObject) -> None:
        self.version += 1
        document: JsonObject = {"version": self.version, "at": 0, "state": state}
        self._deliver(f"sync/{LAMP}/delta", encode(document, "json") if state else b"")

    def ask_for_everything(self) -> None:
        self._deliver(f"sync/{LAMP}/resync", b'{"$":{"id":"r1"},"reason":"session_lost"}')

    def _deliver(self, topic: str, payload: bytes) -> None:
        self.device.client().received(topic, payload)


@pytest.fixture
def network() -> _Network:
    """A lamp that is on, has said so and was answered."""
    network = _Network()
    network.connect()
    network.device.report({"on": True, "brightness_pct": 50, "effect": None}, full=True)
    network.answer(network.reports()[0])
    return network


def test_it_says_that_it_is_online_and_reports(network: _Network) -> None:
    """Presence first, then the state; the will says offline."""
    first, second = network.published
    assert (first.topic, first.retain) == (f"sync/{LAMP}/presence", True)
    assert decode(first.payload) == {"online": True, "boot": "b007"}
    assert decode(second.payload) == {
        "on": True,
        "brightness_pct": 50,
        "effect": None,
        "$": {"id": "b007.1", "boot": "b007", "seq": 1, "full": True},
    }
    will = network.device.client().will
    assert will is not None
    assert decode(will.payload) == {"online": False, "boot": "b007"}


def test_it_believes_what_it_reports(network: _Network) -> None:
    """The sum of its patches, less what has no value."""
    network.device.report({"brightness_pct": 60, "effect": "pulse"})
    network.device.report({"effect": None})
    assert network.device.believed == {"on": True, "brightness_pct": 60}


def test_it_obeys_its_delta(network: _Network) -> None:
    """What is desired is done and reported; what it cannot do is passed over."""
    network.send_delta({"on": False, "brightness_pct": 500, "color": {"r": 9}, "unknown": 1})
    assert network.patches()[-1] == {"on": False, "color": {"r": 9}}
    assert network.device.believed == {"on": False, "brightness_pct": 50, "color": {"r": 9}}


def test_it_does_nothing_about_a_delta_that_it_has_met_already(network: _Network) -> None:
    """Its report of that is under way."""
    network.device.report({"on": False})
    sent = len(network.published)
    network.send_delta({"on": False})
    assert len(network.published) == sent


def test_it_obeys_a_delta_that_was_met_when_it_came_and_is_not_any_more(network: _Network) -> None:
    """The delta is not published again as long as it stays the same, so it must be remembered."""
    network.device.report({"on": False})
    network.send_delta({"on": False})
    network.device.report({"on": True})  # someone at the wall
    for report in network.reports()[1:]:
        network.answer(report)
    assert network.patches()[-1] == {"on": False}


def test_it_forgets_a_delta_that_was_cleared(network: _Network) -> None:
    """What someone does at the wall afterwards stays."""
    network.send_delta({"on": False})
    network.answer(network.reports()[-1])
    network.send_delta({})
    network.device.report({"on": True})
    network.answer(network.reports()[-1])
    assert network.device.believed["on"] is True
    assert network.patches()[-1] == {"on": True}


def test_it_says_everything_again_when_the_bridge_asks(network: _Network) -> None:
    """What it believes, behind what it has to say anyway; what follows is a report as ever."""
    network.device.report({"brightness_pct": 60})
    network.ask_for_everything()
    network.device.report({"on": False})
    everything = network.reports()[-2]
    assert isinstance(everything["$"], dict)
    assert everything["$"]["full"] is True
    assert network.patches()[-3:] == [
        {"brightness_pct": 60},
        {"on": True, "brightness_pct": 60},
        {"on": False},
    ]
    assert network.device.believed == {"on": False, "brightness_pct": 60}


def test_what_is_not_answered_is_sent_again_and_counted_once(network: _Network) -> None:
    """The same bytes; its time is that of the first publish."""
    network.now = 10.0
    network.device.report({"on": False})
    network.now = 30.0
    network.device.flush()
    first, again = network.reports()[1:]
    assert first == again
    assert (network.device.counts.sent, network.device.counts.repeated) == (2, 1)
    network.answer(first, duplicate=True)
    answer, sent_at = network.answers[-1]
    assert (answer.duplicate, sent_at) == (True, 10.0)
    assert network.device.counts.acknowledged == 2
    assert network.device.counts.duplicates == 1
    assert network.device.unanswered == 0


def test_a_new_connection_begins_with_what_is_unanswered(network: _Network) -> None:
    """In order, after presence."""
    network.device.report({"on": False})
    network.device.down()
    assert not network.device.online
    network.device.report({"brightness_pct": 1})
    network.published.clear()
    network.connect()
    assert network.patches() == [{"on": False}, {"brightness_pct": 1}]
    assert network.published[0].topic == f"sync/{LAMP}/presence"


def test_a_refusal_is_counted_with_its_reason(network: _Network) -> None:
    """It is not sent again; the device goes on believing, and the comparison will show it."""
    network.device.report({"on": False})
    network.answer(
        network.reports()[-1], ok=False, code=413, error="twin_too_large", message="shrink it"
    )
    assert network.device.counts.refused == 1
    assert network.device.last_refusal == "413 twin_too_large: shrink it"
    assert network.device.unanswered == 0


def test_every_report_is_a_message_of_its_own_however_long_it_waits(network: _Network) -> None:
    """So the same seed publishes the same messages on a slow network too."""
    network.device.down()
    for brightness in range(1, 31):
        network.device.report({"brightness_pct": brightness})
    assert network.device.unanswered == 30
    network.published.clear()
    network.connect()
    for number in range(30):
        assert len(network.reports()) == min(number + WINDOW, 30)
        network.answer(network.reports()[number])
    assert network.patches() == [{"brightness_pct": brightness} for brightness in range(1, 31)]
    assert network.device.unanswered == 0


def test_what_waits_for_very_long_is_joined(
    network: _Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; the last of these reports still go out one by one."""
    monkeypatch.setattr(module, "QUEUE_MAX", 2)
    network.device.down()
    for brightness in range(1, 31):
        network.device.report({"brightness_pct": brightness})
    network.published.clear()
    network.connect()
    assert [patch["brightness_pct"] for patch in network.patches()] == [28, 29, 30]


def test_it_does_not_believe_what_there_is_no_room_for(
    network: _Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outbox is bounded; what it does not take was never reported."""
    monkeypatch.setattr(module, "QUEUE_MAX", 2)
    session = network.device._session
    assert session is not None
    monkeypatch.setattr(session._outbox, "_capacity", 8)
    network.device.down()
    for number in itertools.count():
        # Each sets what the next makes an object, so that two never go into one report.
        network.device.report({"x": number} if number % 2 else {"x": {"y": number}})
        if network.device.counts.dropped:
            break
    assert network.device.counts.dropped == 1
    assert network.device.unanswered == 10
    assert network.device.believed["x"] in (number - 1, {"y": number - 1})


def test_before_it_is_switched_on_it_has_no_session() -> None:
    """A mistake in the fleet is found at once."""
    device = SimulatedDevice(
        LAMP,
        KINDS["lamp"],
        clock=lambda: 0.0,
        answered=lambda *_: None,
        touched=lambda _: None,
    )
    assert not device.is_on
    assert device.unanswered == 0
    with pytest.raises(RuntimeError, match="not switched on"):
        device.report({})
