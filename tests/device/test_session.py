from __future__ import annotations

import msgpack
import orjson
import pytest

from bridge.device import (
    Answered,
    DeltaCleared,
    DeltaReceived,
    DeviceSession,
    Event,
    Ignored,
    JsonValue,
    ReportDeferred,
    ReportRefused,
)
from bridge.device.retry import RETRY_MAX_S
from tests.device.sessions import DELTA, REPLY, connected, get_answer, new_session


def _reply(session: DeviceSession, seq: int, now: float = 0.0, **members: JsonValue) -> list[Event]:
    head: dict[str, JsonValue] = {"id": f"b1.{seq}", "ok": True, "version": 7, "changed": True}
    return session.received(REPLY, orjson.dumps({"$": head | members}), now)


def _seqs(session: DeviceSession, now: float) -> list[int]:
    return [orjson.loads(message.payload)["$"]["seq"] for message in session.outgoing(now)]


def _delta(version: int, **state: JsonValue) -> bytes:
    return orjson.dumps({"version": version, "at": 1, "state": state, "new": "member"})


def test_presence_is_retained_and_names_the_boot() -> None:
    """The will of an older connection can be told from the present one by its boot."""
    session = new_session()
    assert session.will == ("sync/lamp-1/presence", b'{"online":false,"boot":"b1"}', 1, True)
    session.connected(0.0)
    assert session.outgoing(0.0) == [
        ("sync/lamp-1/presence", b'{"online":true,"boot":"b1"}', 1, True)
    ]
    assert session.outgoing(0.0) == []


def test_topics_follow_prefix_and_name() -> None:
    """A named twin has topics of its own; presence is the device's."""
    session = new_session(name="door", prefix="plant/7")
    session.report({"open": True}, 0.0)
    session.get(0.0)
    session.connected(0.0)
    assert [message.topic for message in session.outgoing(0.0)] == [
        "plant/7/lamp-1/presence",
        "plant/7/lamp-1/door/report",
        "plant/7/lamp-1/door/get/lamp-1",
    ]
    assert session.subscriptions == (
        "plant/7/lamp-1/door/delta",
        "plant/7/lamp-1/door/reply/lamp-1",
        "plant/7/lamp-1/door/resync",
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"device_id": ".x"}, "not starting with a dot"),
        ({"device_id": "report"}, "not a verb"),
        ({"name": "delta"}, "twin's name"),
        ({"boot": "x" * 33}, "1 to 32"),
        ({"boot": ""}, "1 to 32"),
        ({"boot": "a.b"}, "letters and digits"),
        ({"window": 0}, "window 0"),
        ({"window": 16}, "window 16: 1 to 15"),
        ({"capacity": 7}, "capacity 7"),
        ({"retry_after_s": 0.0}, "retry_after_s"),
        ({"prefix": "a/+"}, "prefix"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], why: str) -> None:
    """The message names the argument, and what it may be."""
    with pytest.raises(ValueError, match=why):
        DeviceSession(**({"device_id": "lamp-1", "boot": "b1"} | arguments))  # type: ignore[arg-type]


def test_a_report_waits_for_a_connection_and_then_for_its_reply() -> None:
    """The broker's acknowledgement is not even known here."""
    session = new_session()
    session.report({"on": True}, 0.0)
    assert session.outgoing(0.0) == []
    assert session.next_due_s() is None
    session.connected(1.0)
    assert session.next_due_s() is not None
    _, report = session.outgoing(1.0)
    assert report == (
        "sync/lamp-1/report",
        b'{"on":true,"$":{"id":"b1.1","boot":"b1","seq":1}}',
        1,
        False,
    )
    assert session.unanswered == 1
    assert _reply(session, 1, superseded=True, now=99, later="unknown") == [
        Answered("b1", 1, range(1), version=7, changed=True, superseded=True)
    ]
    assert session.unanswered == 0
    assert session.next_due_s() is None


def test_an_unanswered_report_is_sent_again_after_growing_times() -> None:
    """The same bytes each time; the waits double and end at the longest."""
    session = connected(new_session())
    session.report({"on": True}, 0.0)
    (first,) = session.outgoing(0.0)
    waits: list[float] = []
    now = 0.0
    for _ in range(9):
        due = session.next_due_s()
        assert due is not None
        assert session.outgoing(due - 0.001) == []
        assert session.outgoing(due) == [first]
        waits.append(due - now)
        now = due
    assert waits == [5, 10, 20, 40, 80, 160, RETRY_MAX_S, RETRY_MAX_S, RETRY_MAX_S]


def test_a_new_connection_sends_everything_unanswered_again_in_order() -> None:
    """At once, and the waits start small again."""
    session = connected(new_session(window=3))
    for level in range(3):
        session.report({"a": level}, 0.0)
        session.outgoing(0.0)
    session.outgoing(5.0)
    _reply(session, 2, 5.0)
    session.disconnected()
    assert session.outgoing(100.0) == []
    _connected_messages(session, 100.0, [1, 3])
    assert session.next_due_s() == 105.0


def _connected_messages(session: DeviceSession, now: float, seqs: list[int]) -> None:
    session.connected(now)
    presence, *reports = session.outgoing(now)
    assert presence.retain
    assert [orjson.loads(report.payload)["$"]["seq"] for report in reports] == seqs


def test_an_answer_hurries_the_others() -> None:
    """The bridge is there: what was tried in vain for long is tried again soon."""
    session = connected(new_session())
    for level in range(2):
        session.report({"a": level}, 0.0)
        session.outgoing(0.0)
    now = 0.0
    for _ in range(5):
        now = session.next_due_s() or now
        session.outgoing(now)
    assert now == 155.0
    _reply(session, 1, now)
    assert session.next_due_s() == now + 5.0
    assert _seqs(session, now + 5.0) == [2]


def test_a_duplicate_counts_as_answered() -> None:
    """The earlier reply was lost; the update was not."""
    session = connected(new_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    (answered,) = _reply(session, 1, changed=False, duplicate=True)
    assert answered == Answered("b1", 1, range(1), version=7, duplicate=True)
    assert session.unanswered == 0


def test_a_refusal_ends_the_report_and_gives_the_patch_back() -> None:
    """It is not sent again, and what comes after it goes on."""
    session = connected(new_session())
    session.report({"on": "blue"}, 0.0)
    session.outgoing(0.0)
    session.report({"level": 1}, 0.0)
    events = _reply(session, 1, ok=False, code=422, error="bad_type", message="on is a boolean")
    assert events == [
        ReportRefused("b1", 1, range(1), 422, "bad_type", "on is a boolean", {"on": "blue"})
    ]
    assert session.unanswered == 1
    assert _seqs(session, 0.0) == [2]


@pytest.mark.parametrize("code", [429, 503])
def test_what_the_bridge_cannot_take_now_is_sent_later(code: int) -> None:
    """All reports wait, longer each time, and requests for twins do not."""
    session = connected(new_session())
    for level in range(2):
        session.report({"a": level}, 0.0)
        session.outgoing(0.0)
    first = _reply(session, 1, 0.0, ok=False, code=code, message="later")
    assert first == [ReportDeferred("b1", 1, code, "later", 5.0)]
    assert _reply(session, 2, 1.0, ok=False, code=code, message="later") == [
        ReportDeferred("b1", 2, code, "later", 4.0)
    ]
    session.report({"b": 1}, 1.0)
    session.get(1.0)
    assert [message.topic for message in session.outgoing(1.0)] == ["sync/lamp-1/get/lamp-1"]
    assert session.unanswered == 3
    assert session.next_due_s() == 5.0
    session.received(REPLY, get_answer("b1.g1"), 5.0)
    assert _seqs(session, 5.0) == [1, 2, 3]
    (deferred,) = _reply(session, 1, 6.0, ok=False, code=code)
    assert isinstance(deferred, ReportDeferred)
    assert deferred.delay_s == 10.0
    assert len(_reply(session, 2, 7.0)) == 1
    assert session.next_due_s() is not None
    session.outgoing(7.0)
    assert session.unanswered == 2


def test_deltas_are_handed_on_in_the_order_of_their_versions() -> None:
    """An older one is passed over with a word on the likely cause, a repeated one in silence."""
    session = connected(new_session())
    assert session.received(DELTA, _delta(5, on=True), 0.0) == [DeltaReceived(5, {"on": True})]
    assert session.received(DELTA, _delta(5, on=True), 0.0) == []
    (ignored,) = session.received(DELTA, _delta(4, on=False), 0.0)
    assert isinstance(ignored, Ignored)
    assert "version 4 is older than 5" in ignored.reason
    assert session.received(DELTA, b"", 0.0) == [DeltaCleared()]
    assert session.received(DELTA, _delta(6, on=False), 0.0) == [DeltaReceived(6, {"on": False})]


def test_both_encodings_are_understood_whatever_is_sent() -> None:
    """Told apart by the first byte: small and large msgpack maps, JSON with white space."""
    session = connected(new_session())
    large = {f"k{i}": i for i in range(70_000)}
    for version, state in ((1, {"a": 1}), (2, {f"k{i}": i for i in range(20)}), (3, large)):
        document = {"version": version, "state": state}
        events = session.received(DELTA, msgpack.packb(document), 0.0)
        assert events == [DeltaReceived(version, state)]  # type: ignore[arg-type]
    outer_map_16 = msgpack.packb({"version": 4, "state": {}} | {f"x{i}": 0 for i in range(20)})
    assert outer_map_16[0] == 0xDE
    assert session.received(DELTA, outer_map_16, 0.0) == [DeltaReceived(4, {})]
    assert session.received(DELTA, b' \n{"version":5,"state":{}}', 0.0) == [DeltaReceived(5, {})]


def test_msgpack_is_sent_where_that_was_chosen() -> None:
    """Reports and requests; presence is what operators read."""
    session = new_session(encoding="msgpack")
    session.report({"on": True}, 0.0)
    session.get(0.0)
    session.connected(0.0)
    presence, report, get = session.outgoing(0.0)
    assert presence.payload == b'{"online":true,"boot":"b1"}'
    assert msgpack.unpackb(report.payload) == {
        "on": True,
        "$": {"id": "b1.1", "boot": "b1", "seq": 1},
    }
    assert msgpack.unpackb(get.payload) == {"$": {"id": "b1.g1"}}


NONSENSE = [
    (DELTA, b"nonsense"),
    (DELTA, b"[1]"),
    (DELTA, b'{"state":{}}'),
    (DELTA, b'{"version":true,"state":{}}'),
    (DELTA, b'{"version":1,"state":[]}'),
    (DELTA, b"\x81\xa1a"),
    (DELTA, b"\xdf\xff\xff\xff\xff"),
    (DELTA, b"\x81" * 5000),
    (DELTA, b"\x81\x01\x01"),
    (REPLY, b"{"),
    (REPLY, b'{"$":[]}'),
    (REPLY, b'{"$":{}}'),
    (REPLY, b'{"$":{"id":7,"ok":true}}'),
    (REPLY, b'{"$":{"id":"b1.1"}}'),
    (REPLY, b'{"$":{"id":"b1.1","ok":true,"version":"1"}}'),
    (REPLY, b'{"$":{"id":"b1.g1","ok":true}}'),
    ("sync/thermo-1/state", b'{"version":1,"reported":{}}'),
    ("sync/thermo-1/state", b'{"version":1.5,"reported":{},"desired":{}}'),
]


@pytest.mark.parametrize(("topic", "payload"), NONSENSE)
def test_what_cannot_be_read_changes_nothing_and_is_told(topic: str, payload: bytes) -> None:
    """Whatever anyone publishes there, what is under way stays under way."""
    session = connected(new_session())
    session.report({"on": True}, 0.0)
    session.get(0.0)
    session.request_state("thermo-1", 0.0)
    session.outgoing(0.0)
    (event,) = session.received(topic, payload, 0.0)
    assert isinstance(event, Ignored)
    assert event.topic == topic
    assert event.reason
    assert session.unanswered == 1
    assert len(session.outgoing(5.0)) == 3


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (REPLY, b""),
        (REPLY, b'{"$":{"id":"b1.2","ok":true}}'),
        (REPLY, b'{"$":{"id":"b0.1","ok":true}}'),
        ("sync/elsewhere", b'{"version":1,"reported":{},"desired":{}}'),
        ("sync/$bridge/status", b'{"online":true,"version":"0.1.0"}'),
        ("sync/thermo-1/state", b"nonsense"),
    ],
)
def test_what_comes_late_or_unasked_means_nothing(topic: str, payload: bytes) -> None:
    """What was sent twice is answered twice, and some brokers send what nobody subscribed to."""
    session = connected(new_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    assert session.received(topic, payload, 0.0) == []
    assert session.unanswered == 1
