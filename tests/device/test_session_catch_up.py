from __future__ import annotations

import msgpack
import orjson
import pytest

from bridge.core.limits import Limits
from bridge.device import (
    DeviceSession,
    Event,
    GetAnswered,
    GetRefused,
    Ignored,
    JsonObject,
    JsonValue,
    Twin,
)
from tests.device.sessions import REPLY, connected, get_answer, new_session


def _ask(session: DeviceSession, now: float = 0.0) -> tuple[str, bytes]:
    """Return the id and the bytes of a new request."""
    request_id = session.get(now)
    *_, get = session.outgoing(now)
    return request_id, get.payload


def _changes(
    session: DeviceSession, request_id: str, since: int, version: int, **members: JsonValue
) -> list[Event]:
    head: JsonObject = {"id": request_id, "ok": True, "version": version, "since": since}
    return session.received(REPLY, orjson.dumps({"$": head, **members}), 0.0)


def _with_version_9() -> DeviceSession:
    """Return a session that has fetched the whole twin: on is true, nothing is desired."""
    session = connected(new_session())
    request_id, _ = _ask(session)
    session.received(REPLY, get_answer(request_id), 0.0)
    return session


def _twin(event: Event) -> Twin:
    assert isinstance(event, GetAnswered)
    return event.twin


def test_what_is_known_is_not_asked_for_again() -> None:
    """The whole at first, then what has changed since; the patches are merged."""
    session = connected(new_session())
    request_id, payload = _ask(session)
    assert payload == b'{"$":{"id":"b1.g1"}}'
    session.received(REPLY, get_answer(request_id, desired={"o": {"x": 1, "y": 2}}), 0.0)
    request_id, payload = _ask(session)
    assert payload == b'{"since":9,"$":{"id":"b1.g2"}}'
    (event,) = _changes(
        session,
        request_id,
        9,
        12,
        at=6,
        reported={"on": None, "level": 3},
        desired={"o": {"x": None, "z": [None]}},
        online=False,
        last_seen=7,
    )
    after = Twin(12, {"level": 3}, {"o": {"y": 2, "z": [None]}}, online=False, at=6, last_seen=7)
    assert _twin(event) == after
    assert _ask(session)[1] == b'{"since":12,"$":{"id":"b1.g3"}}'


def test_where_nothing_is_new_the_twin_is_what_it_was() -> None:
    """The answer has no sections; what else it says counts."""
    session = _with_version_9()
    before = Twin(9, {"on": True}, {}, online=True, at=5)
    (event,) = _changes(session, _ask(session)[0], 9, 9)
    assert _twin(event) == before
    (event,) = _changes(session, _ask(session)[0], 9, 9, at=5, online=True, last_seen=8)
    assert _twin(event) == Twin(9, {"on": True}, {}, online=True, at=5, last_seen=8)


def test_what_the_answer_no_longer_says_is_gone() -> None:
    """A twin that was deleted meanwhile and made anew has no presence yet."""
    session = _with_version_9()
    (event,) = _changes(session, _ask(session)[0], 9, 11, at=6, reported={}, desired={})
    assert _twin(event) == Twin(11, {"on": True}, {}, online=None, at=6)


def test_a_whole_twin_replaces_what_was_kept() -> None:
    """Where the bridge cannot tell any more what has changed; its version may even be lower."""
    session = _with_version_9()
    request_id, payload = _ask(session)
    assert orjson.loads(payload)["since"] == 9
    answer: JsonObject = {"id": request_id, "ok": True, "version": 3, "full": True}
    (event,) = session.received(REPLY, get_answer(request_id, **{"$": answer}), 0.0)
    assert _twin(event).version == 3
    assert orjson.loads(_ask(session)[1])["since"] == 3


def test_an_answer_that_does_not_fit_has_the_whole_asked_for() -> None:
    """Once, at once and under the same id; a late repeat of that answer changes nothing."""
    session = _with_version_9()
    request_id, _ = _ask(session)
    assert _changes(session, request_id, 8, 12, at=6, reported={"on": None}) == []
    (whole,) = session.outgoing(0.0)
    assert whole.payload == b'{"$":{"id":"%b"}}' % request_id.encode()
    assert _changes(session, request_id, 9, 12, at=6, reported={"on": None}) == []
    assert session.outgoing(0.0) == []
    assert session.next_due_s() == 5.0
    (event,) = session.received(REPLY, get_answer(request_id), 0.0)
    assert _twin(event).reported == {"on": True}


def test_changes_that_nobody_asked_for_are_no_answer() -> None:
    """A session that keeps no twin has nothing to apply them to."""
    session = connected(new_session())
    request_id, _ = _ask(session)
    assert _changes(session, request_id, 9, 12, at=6, reported={"on": None}) == []
    assert session.outgoing(0.0) == []
    assert len(session.outgoing(5.0)) == 1


def test_requests_at_a_time_have_each_their_own_base() -> None:
    """Whatever order the answers take, none of them is applied to the twin of another one."""
    session = _with_version_9()
    first, _ = _ask(session)
    second, _ = _ask(session)
    (event,) = _changes(session, second, 9, 12, at=6, reported={"level": 2})
    assert _twin(event).reported == {"on": True, "level": 2}
    (event,) = _changes(session, first, 9, 11, at=6, reported={"level": 1})
    assert _twin(event).reported == {"on": True, "level": 1}
    assert orjson.loads(_ask(session)[1])["since"] == 12


def test_a_repeated_request_has_the_same_bytes() -> None:
    """What was learnt meanwhile is for the next one."""
    session = _with_version_9()
    first, payload = _ask(session)
    second, _ = _ask(session)
    _changes(session, second, 9, 12, at=6)
    assert [message.payload for message in session.outgoing(5.0)] == [payload]
    assert len(_changes(session, first, 9, 12, at=6)) == 1


def test_no_twin_is_kept_that_is_larger_than_a_bridge_has() -> None:
    """Memory is bounded; the program gets it all the same."""
    session = DeviceSession("lamp-1", boot="b1", limits=Limits(twin_bytes=100))
    connected(session)
    (event,) = session.received(REPLY, get_answer(_ask(session)[0]), 0.0)
    assert "since" in orjson.loads(_ask(session)[1])
    large = {"text": "x" * 100}
    (event,) = session.received(REPLY, get_answer("b1.g2", reported=large), 0.0)
    assert _twin(event).reported == large
    assert "since" not in orjson.loads(_ask(session)[1])


def test_a_twin_that_is_gone_is_forgotten() -> None:
    """Of the new one there may be nothing left of it."""
    session = _with_version_9()
    gone = {"$": {"id": _ask(session)[0], "ok": False, "code": 404, "version": 10}}
    (event,) = session.received(REPLY, orjson.dumps(gone), 0.0)
    assert isinstance(event, GetRefused)
    assert "since" not in orjson.loads(_ask(session)[1])


def test_another_twin_is_asked_for_whole() -> None:
    """Only the device's own is kept; what becomes of another one does not matter to it."""
    session = _with_version_9()
    other = session.request_state("thermo-1", 0.0)
    (get,) = session.outgoing(0.0)
    assert "since" not in orjson.loads(get.payload)
    gone = {"$": {"id": other, "ok": False, "code": 404}}
    assert len(session.received("sync/thermo-1/reply/lamp-1", orjson.dumps(gone), 0.0)) == 1
    assert orjson.loads(_ask(session)[1])["since"] == 9


def test_catching_up_works_in_msgpack() -> None:
    """The question and the answer."""
    session = connected(new_session(encoding="msgpack"))
    session.received(REPLY, get_answer(_ask(session)[0]), 0.0)
    request_id, payload = _ask(session)
    assert msgpack.unpackb(payload) == {"since": 9, "$": {"id": request_id}}
    head = {"id": request_id, "ok": True, "version": 10, "since": 9}
    answer = msgpack.packb({"$": head, "at": 6, "reported": {"on": None}, "desired": {}})
    (event,) = session.received(REPLY, answer, 0.0)
    assert _twin(event) == Twin(10, {}, {}, at=6)


@pytest.mark.parametrize(
    ("since", "members"),
    [("9", {}), (9, {"reported": []}), (9, {"desired": 1}), (9, {"last_seen": "x"})],
)
def test_changes_that_cannot_be_read_are_no_answer(since: JsonValue, members: JsonObject) -> None:
    """It is told, and the question is asked again."""
    session = _with_version_9()
    request_id, payload = _ask(session)
    head: JsonObject = {"id": request_id, "ok": True, "version": 10, "since": since}
    (ignored,) = session.received(REPLY, orjson.dumps({"$": head, **members}), 0.0)
    assert isinstance(ignored, Ignored)
    assert [message.payload for message in session.outgoing(5.0)] == [payload]
