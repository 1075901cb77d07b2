from __future__ import annotations

import msgpack
import orjson
import pytest

from bridge.device import (
    Answered,
    DeltaCleared,
    DeltaReceived,
    DeviceSession,
    Encoding,
    Event,
    GetAnswered,
    GetRefused,
    Ignored,
    JsonValue,
    ReportDeferred,
    ReportRefused,
    StateReceived,
    Twin,
)
from bridge.device.requests import REQUESTS_MAX
from bridge.device.retry import RETRY_MAX_S
from bridge.errors import OutboxFull

REPLY = "sync/lamp-1/reply/lamp-1"
DELTA = "sync/lamp-1/delta"


def _session(
    *, name: str = "", prefix: str = "sync", window: int = 8, encoding: Encoding = "json"
) -> DeviceSession:
    return DeviceSession(
        "lamp-1", boot="b1", name=name, prefix=prefix, window=window, encoding=encoding
    )


def _connected(session: DeviceSession, now: float = 0.0) -> DeviceSession:
    """Connect, and take the presence out of the way."""
    session.connected(now)
    assert session.outgoing(now)[0].topic == "sync/lamp-1/presence"
    return session


def _reply(session: DeviceSession, seq: int, now: float = 0.0, **members: JsonValue) -> list[Event]:
    head: dict[str, JsonValue] = {"id": f"b1.{seq}", "ok": True, "version": 7, "changed": True}
    return session.received(REPLY, orjson.dumps({"$": head | members}), now)


def _seqs(session: DeviceSession, now: float) -> list[int]:
    return [orjson.loads(message.payload)["$"]["seq"] for message in session.outgoing(now)]


def _delta(version: int, **state: JsonValue) -> bytes:
    return orjson.dumps({"version": version, "at": 1, "state": state, "new": "member"})


def test_presence_is_retained_and_names_the_boot() -> None:
    """The will of an older connection can be told from the present one by its boot."""
    session = _session()
    assert session.will == ("sync/lamp-1/presence", b'{"online":false,"boot":"b1"}', 1, True)
    session.connected(0.0)
    assert session.outgoing(0.0) == [
        ("sync/lamp-1/presence", b'{"online":true,"boot":"b1"}', 1, True)
    ]
    assert session.outgoing(0.0) == []


def test_topics_follow_prefix_and_name() -> None:
    """A named twin has topics of its own; presence is the device's."""
    session = _session(name="door", prefix="plant/7")
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
    session = _session()
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
    session = _connected(_session())
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
    session = _connected(_session(window=3))
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
    session = _connected(_session())
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
    session = _connected(_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    (answered,) = _reply(session, 1, changed=False, duplicate=True)
    assert answered == Answered("b1", 1, range(1), version=7, duplicate=True)
    assert session.unanswered == 0


def test_a_refusal_ends_the_report_and_gives_the_patch_back() -> None:
    """It is not sent again, and what comes after it goes on."""
    session = _connected(_session())
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
    session = _connected(_session())
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
    session.received(REPLY, _get_answer("b1.g1"), 5.0)
    assert _seqs(session, 5.0) == [1, 2, 3]
    (deferred,) = _reply(session, 1, 6.0, ok=False, code=code)
    assert isinstance(deferred, ReportDeferred)
    assert deferred.delay_s == 10.0
    assert len(_reply(session, 2, 7.0)) == 1
    assert session.next_due_s() is not None
    session.outgoing(7.0)
    assert session.unanswered == 2


def _get_answer(request_id: str, **members: JsonValue) -> bytes:
    body: dict[str, JsonValue] = {
        "$": {"id": request_id, "ok": True, "version": 9, "full": True},
        "at": 5,
        "reported": {"on": True},
        "desired": {},
        "online": True,
    }
    return orjson.dumps(body | members)


def test_deltas_are_handed_on_in_the_order_of_their_versions() -> None:
    """An older one is passed over with a word on the likely cause, a repeated one in silence."""
    session = _connected(_session())
    assert session.received(DELTA, _delta(5, on=True), 0.0) == [DeltaReceived(5, {"on": True})]
    assert session.received(DELTA, _delta(5, on=True), 0.0) == []
    (ignored,) = session.received(DELTA, _delta(4, on=False), 0.0)
    assert isinstance(ignored, Ignored)
    assert "version 4 is older than 5" in ignored.reason
    assert session.received(DELTA, b"", 0.0) == [DeltaCleared()]
    assert session.received(DELTA, _delta(6, on=False), 0.0) == [DeltaReceived(6, {"on": False})]


def test_both_encodings_are_understood_whatever_is_sent() -> None:
    """Told apart by the first byte: small and large msgpack maps, JSON with white space."""
    session = _connected(_session())
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
    session = _session(encoding="msgpack")
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


def test_the_own_twin_is_asked_for_until_it_comes() -> None:
    """Again after a while and with each connection; the first answer ends it."""
    session = _session()
    request_id = session.get(0.0)
    session.connected(0.0)
    _, get = session.outgoing(0.0)
    assert get == ("sync/lamp-1/get/lamp-1", b'{"$":{"id":"b1.g1"}}', 1, False)
    assert session.next_due_s() == 5.0
    assert session.outgoing(5.0) == [get]
    session.disconnected()
    session.connected(6.0)
    assert session.outgoing(6.0)[1:] == [get]
    twin = Twin(version=9, reported={"on": True}, desired={}, online=True, at=5)
    assert session.received(REPLY, _get_answer(request_id), 6.0) == [GetAnswered(request_id, twin)]
    assert session.next_due_s() is None
    assert session.received(REPLY, _get_answer(request_id), 6.0) == []


def test_a_refused_get_is_handed_on_and_a_deferred_one_repeated() -> None:
    """404 is for the caller; 503 is not."""
    session = _connected(_session())
    request_id = session.get(0.0)
    session.outgoing(0.0)
    busy = {"$": {"id": request_id, "ok": False, "code": 503, "message": "not ready"}}
    assert session.received(REPLY, orjson.dumps(busy), 1.0) == []
    assert session.next_due_s() is not None
    gone = {"$": {"id": request_id, "ok": False, "code": 404, "error": "e", "message": "m"}}
    assert session.received(REPLY, orjson.dumps(gone), 1.0) == [
        GetRefused(request_id, 404, "e", "m")
    ]
    assert session.next_due_s() is None


STATE = b'{"version":3,"at":2,"reported":{"t":20.5},"desired":{"t":21}}'
STATE_TWIN = Twin(version=3, reported={"t": 20.5}, desired={"t": 21}, at=2)


def test_anothers_state_comes_retained_or_answered() -> None:
    """Whatever comes first ends the request, and with it its subscriptions."""
    session = _connected(_session())
    own = session.subscriptions
    first = session.request_state("thermo-1", 0.0)
    second = session.request_state("thermo-1", 0.0)
    assert session.subscriptions == (
        *own,
        "sync/thermo-1/state",
        "sync/thermo-1/reply/lamp-1",
    )
    assert [message.topic for message in session.outgoing(0.0)] == ["sync/thermo-1/get/lamp-1"] * 2
    answer = _get_answer(second)
    (answered,) = session.received("sync/thermo-1/reply/lamp-1", answer, 0.0)
    assert isinstance(answered, StateReceived)
    assert answered.request_id == second
    assert session.received("sync/thermo-1/state", STATE, 0.0) == [
        StateReceived(first, "thermo-1", "", STATE_TWIN)
    ]
    assert session.subscriptions == own


def test_no_state_is_none_when_the_bridge_says_so() -> None:
    """A 404, or the retained state cleared while it is waited for."""
    session = _connected(_session())
    first = session.request_state("thermo-1", 0.0, name="door")
    gone = {"$": {"id": first, "ok": False, "code": 404}}
    reply_topic = "sync/thermo-1/door/reply/lamp-1"
    assert session.received(reply_topic, orjson.dumps(gone), 0.0) == [
        StateReceived(first, "thermo-1", "door", None)
    ]
    second = session.request_state("thermo-1", 0.0)
    assert session.received("sync/thermo-1/state", b"", 0.0) == [
        StateReceived(second, "thermo-1", "", None)
    ]


def test_the_own_state_can_be_asked_for_like_anothers() -> None:
    """Its topics are the device's own, and the answer is told from a report's."""
    session = _connected(_session())
    request_id = session.request_state("lamp-1", 0.0)
    assert session.subscriptions == (DELTA, REPLY, "sync/lamp-1/state")
    (event,) = session.received(REPLY, _get_answer(request_id), 0.0)
    assert isinstance(event, StateReceived)


def test_requests_are_bounded_and_can_be_given_up() -> None:
    """Each holds a subscription; the limit is named."""
    session = _session()
    ids = [session.get(0.0) for _ in range(REQUESTS_MAX)]
    with pytest.raises(OutboxFull, match=f"REQUESTS_MAX is {REQUESTS_MAX}"):
        session.get(0.0)
    session.forget(ids[0])
    session.forget(ids[0])
    session.get(0.0)


def test_a_reply_counts_on_its_own_topic_only() -> None:
    """Who may publish to another device's reply topic cannot answer this one's reports."""
    session = _connected(_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    session.request_state("other", 0.0)
    forged = orjson.dumps({"$": {"id": "b1.1", "ok": True, "version": 1}})
    assert session.received("sync/other/reply/lamp-1", forged, 0.0) == []
    assert session.unanswered == 1
    assert len(session.received(REPLY, forged, 0.0)) == 1
    assert session.received(REPLY, forged, 0.0) == []


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
    session = _connected(_session())
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
    session = _connected(_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    assert session.received(topic, payload, 0.0) == []
    assert session.unanswered == 1
