from __future__ import annotations

import orjson
import pytest

from bridge.device import (
    GetAnswered,
    GetRefused,
    StateReceived,
    Twin,
)
from bridge.device.requests import REQUESTS_MAX
from bridge.errors import OutboxFull
from tests.device.sessions import DELTA, REPLY, RESYNC, connected, get_answer, new_session


def test_the_own_twin_is_asked_for_until_it_comes() -> None:
    """Again after a while and with each connection; the first answer ends it."""
    session = new_session()
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
    assert session.received(REPLY, get_answer(request_id), 6.0) == [GetAnswered(request_id, twin)]
    assert session.next_due_s() is None
    assert session.received(REPLY, get_answer(request_id), 6.0) == []


def test_a_refused_get_is_handed_on_and_a_deferred_one_repeated() -> None:
    """404 is for the caller; 503 is not."""
    session = connected(new_session())
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
    session = connected(new_session())
    own = session.subscriptions
    first = session.request_state("thermo-1", 0.0)
    second = session.request_state("thermo-1", 0.0)
    assert session.subscriptions == (
        *own,
        "sync/thermo-1/state",
        "sync/thermo-1/reply/lamp-1",
    )
    assert [message.topic for message in session.outgoing(0.0)] == ["sync/thermo-1/get/lamp-1"] * 2
    answer = get_answer(second)
    (answered,) = session.received("sync/thermo-1/reply/lamp-1", answer, 0.0)
    assert isinstance(answered, StateReceived)
    assert answered.request_id == second
    assert session.received("sync/thermo-1/state", STATE, 0.0) == [
        StateReceived(first, "thermo-1", "", STATE_TWIN)
    ]
    assert session.subscriptions == own


def test_no_state_is_none_when_the_bridge_says_so() -> None:
    """A 404, or the retained state cleared while it is waited for."""
    session = connected(new_session())
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
    session = connected(new_session())
    request_id = session.request_state("lamp-1", 0.0)
    assert session.subscriptions == (DELTA, REPLY, RESYNC, "sync/lamp-1/state")
    (event,) = session.received(REPLY, get_answer(request_id), 0.0)
    assert isinstance(event, StateReceived)


def test_requests_are_bounded_and_can_be_given_up() -> None:
    """Each holds a subscription; the limit is named."""
    session = new_session()
    ids = [session.get(0.0) for _ in range(REQUESTS_MAX)]
    with pytest.raises(OutboxFull, match=f"REQUESTS_MAX is {REQUESTS_MAX}"):
        session.get(0.0)
    session.forget(ids[0])
    session.forget(ids[0])
    session.get(0.0)


def test_a_reply_counts_on_its_own_topic_only() -> None:
    """Who may publish to another device's reply topic cannot answer this one's reports."""
    session = connected(new_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    session.request_state("other", 0.0)
    forged = orjson.dumps({"$": {"id": "b1.1", "ok": True, "version": 1}})
    assert session.received("sync/other/reply/lamp-1", forged, 0.0) == []
    assert session.unanswered == 1
    assert len(session.received(REPLY, forged, 0.0)) == 1
    assert session.received(REPLY, forged, 0.0) == []
