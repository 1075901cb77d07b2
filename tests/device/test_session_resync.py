from __future__ import annotations

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.device import (
    DeviceSession,
    Event,
    Ignored,
    JsonObject,
    JsonValue,
    ReportRefused,
    ResyncRequested,
)
from bridge.device.kept import Restored, SealedReport
from bridge.device.payload import decode
from bridge.device.resync import RESYNC_INTERVAL_S
from bridge.errors import OutboxFull
from tests.device.sessions import REPLY, RESYNC, connected, new_session
from tests.device.shown import Said, shown
from tests.device.strategies import patches


def _ask(session: DeviceSession, now: float = 0.0, **members: JsonValue) -> list[Event]:
    request: JsonObject = {"$": {"id": "r9"}, "later": "unknown", **members}
    return session.received(RESYNC, orjson.dumps(request), now)


def _gap(boot: str, *missing: list[int]) -> dict[str, JsonValue]:
    return {"reason": "gap", "boot": boot, "missing": list(missing)}


def _answer(session: DeviceSession, seq: int, **members: JsonValue) -> None:
    head: JsonObject = {"id": f"b1.{seq}", "ok": True, "version": seq, **members}
    assert len(session.received(REPLY, orjson.dumps({"$": head}), 0.0)) == 1


def _sent(session: DeviceSession, now: float = 0.0) -> list[JsonObject]:
    return [decode(message.payload) for message in session.outgoing(now)]


def _said(*patches: JsonObject, full: bool = True) -> DeviceSession:
    """Return a session whose reports, the first perhaps full, were answered one by one."""
    session = connected(new_session())
    for seq, patch in enumerate(patches, 1):
        session.report(patch, 0.0, full=full and seq == 1)
        session.outgoing(0.0)
        _answer(session, seq)
    return session


@pytest.mark.parametrize("reason", ["gap", "session_lost", "store_restored", "whatever"])
def test_everything_is_said_again_when_the_bridge_asks(reason: str) -> None:
    """As one full report with the next number; the request is told to the program."""
    session = _said({"on": True, "level": 3}, {"level": None, "mode": "eco"})
    asked = _gap("b1", [1, 1]) if reason == "gap" else {"reason": reason}
    assert _ask(session, **asked) == [ResyncRequested(reason)]
    assert session.answer_resync(0.0) == 2
    (report,) = _sent(session)
    metadata = {"id": "b1.3", "boot": "b1", "seq": 3, "full": True}
    assert report == {"on": True, "mode": "eco", "$": metadata}


def test_the_program_may_say_it_itself() -> None:
    """Then it does not matter what was reported before."""
    session = _said({"on": True}, full=False)
    assert _ask(session, reason="session_lost") == [ResyncRequested("session_lost")]
    session.answer_resync(0.0, {"on": False}, seen=8)
    (report,) = _sent(session)
    metadata = {"id": "b1.2", "boot": "b1", "seq": 2, "seen": 8, "full": True}
    assert report == {"on": False, "$": metadata}


def test_what_does_not_stand_for_everything_is_not_said_to() -> None:
    """Without a full report nobody knows what an earlier process has left in the twin."""
    session = _said({"on": True, "level": 3}, {"level": None}, full=False)
    assert _ask(session) == [ResyncRequested("")]
    session.answer_resync(0.0)
    (report,) = _sent(session)
    metadata = {"id": "b1.3", "boot": "b1", "seq": 3}
    assert report == {"on": True, "level": None, "$": metadata}


def test_where_nothing_was_said_nothing_is_repeated() -> None:
    """An empty report would create a twin."""
    session = connected(new_session())
    assert _ask(session) == [ResyncRequested("")]
    assert session.answer_resync(0.0) is None
    assert session.outgoing(0.0) == []


def test_what_the_bridge_has_refused_is_not_repeated() -> None:
    """Else the answer would be refused with it, each time anew."""
    session = _said({"on": True})
    session.report({"mode": "party"}, 0.0)
    session.outgoing(0.0)
    _answer(session, 2, ok=False, code=409, error="conflict", message="no")
    session.report({"level": 1}, 0.0)
    session.outgoing(0.0)
    assert _ask(session) == [ResyncRequested("")]
    session.answer_resync(0.0)
    (report,) = _sent(session)
    del report["$"]
    assert report == {"on": True, "level": 1}


def test_reports_of_an_earlier_process_are_not_repeated() -> None:
    """They are answered first, and what this process says comes after them."""
    old = SealedReport("b0", 4, b'{"old":1,"$":{"id":"b0.4","boot":"b0","seq":4}}')
    session = DeviceSession("lamp-1", boot="b1", restored=Restored([old]))
    session.connected(0.0)
    assert _sent(session)[1:] == [decode(old.payload)]
    assert _ask(session) == [ResyncRequested("")]
    assert session.answer_resync(0.0) is None
    session.report({"on": True}, 0.0, full=True)
    session.received(REPLY, b'{"$":{"id":"b0.4","ok":true,"version":1}}', 0.0)
    _sent(session)
    _answer(session, 1)
    assert _ask(session, RESYNC_INTERVAL_S) == [ResyncRequested("")]
    session.answer_resync(0.0)
    assert {key for report in _sent(session) for key in report} == {"on", "$"}


def test_what_is_missing_and_unanswered_is_only_sent_again() -> None:
    """At once, the same bytes, and nothing else; whichever boot it is of."""
    session = connected(new_session())
    for level in range(4):
        session.report({"level": level}, 0.0)
        session.outgoing(0.0)
    _answer(session, 4)
    assert _ask(session, 1.0, **_gap("b1", [1, 2])) == []
    assert [report["level"] for report in _sent(session, 1.0)] == [0, 1]
    old = SealedReport("b0", 4, b'{"old":1,"$":{"id":"b0.4","boot":"b0","seq":4}}')
    restored = DeviceSession("lamp-1", boot="b1", restored=Restored([old]))
    restored.connected(0.0)
    assert len(restored.outgoing(0.0)) == 2
    assert _ask(restored, 1.0, **_gap("b0", [4, 4])) == []
    assert [message.payload for message in restored.outgoing(1.0)] == [old.payload]


@pytest.mark.parametrize(
    "asked",
    [
        _gap("b1", [1, 3]),
        _gap("b1", [1, 1], [3, 3]),
        _gap("b0", [1, 1]),
        _gap("b1", [1, 2**53]),
        _gap("b1", [2**53, 2**63]),
        _gap("b1"),
        {"reason": "gap", "boot": 1, "missing": [[1, 1]]},
        {"reason": "gap", "missing": [[1, 1]]},
        {"reason": "gap", "boot": None, "missing": None},
        {"reason": "store_restored", "boot": "b1", "missing": [[1, 1]]},
    ],
)
def test_what_is_missing_otherwise_takes_everything(asked: dict[str, JsonValue]) -> None:
    """Answered and lost, of an unknown boot, or lost with more than the bridge can name."""
    session = connected(new_session())
    for level in range(3):
        session.report({"level": level}, 0.0)
        session.outgoing(0.0)
    _answer(session, 3)
    assert len(_ask(session, 1.0, **asked)) == 1
    session.answer_resync(1.0)
    assert [report["level"] for report in _sent(session, 1.0)] == [2]


def test_requests_are_answered_once_while_the_answer_is_under_way() -> None:
    """However often, and however long it takes; the answer is repeated until it arrives."""
    session = _said({"on": True})
    now = 0.0
    assert len(_ask(session, now)) == 1
    session.answer_resync(now)
    for _ in range(50):
        now += RESYNC_INTERVAL_S
        assert _ask(session, now) == []
    assert session.unanswered == 1
    session.outgoing(now)
    _answer(session, 2)
    assert _ask(session, now) == [ResyncRequested("")]


def test_requests_come_at_an_interval_at_most() -> None:
    """Whoever may publish there cannot make a device send without end."""
    session = _said({"on": True})
    session.report({"on": False}, 0.0)
    session.outgoing(0.0)
    assert _ask(session, 0.0, **_gap("b1", [2, 2])) == []
    assert len(session.outgoing(0.0)) == 1
    for asked in (_gap("b1", [2, 2]), {"reason": "session_lost"}):
        (ignored,) = _ask(session, RESYNC_INTERVAL_S - 0.1, **asked)
        assert isinstance(ignored, Ignored)
        assert "less than 10 s ago" in ignored.reason
    assert session.outgoing(4.9) == []
    assert len(_ask(session, RESYNC_INTERVAL_S)) == 1


def test_an_answer_that_was_refused_is_not_under_way() -> None:
    """The bridge asks again, and the program may have something else to say."""
    session = _said({"on": True})
    assert len(_ask(session, 0.0)) == 1
    session.answer_resync(0.0, {"on": "blue"})
    session.outgoing(0.0)
    _answer(session, 2, ok=False, code=422, error="bad_type", message="on is a boolean")
    assert len(_ask(session, RESYNC_INTERVAL_S)) == 1


def test_an_answer_that_there_is_no_room_for_is_not_under_way() -> None:
    """The caller is told, and the next request is handed on again."""
    session = DeviceSession("lamp-1", boot="b1", window=1, capacity=1)
    connected(session)
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    assert len(_ask(session, 0.0)) == 1
    with pytest.raises(OutboxFull):
        session.answer_resync(0.0)
    assert len(_ask(session, RESYNC_INTERVAL_S)) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense",
        b"[1]",
        b'{"reason":1}',
        b'{"missing":{}}',
        b'{"missing":[1]}',
        b'{"missing":[[1]]}',
        b'{"missing":[[2,1]]}',
        b'{"missing":[[0,1]]}',
        b'{"missing":[[true,true]]}',
        b'{"missing":[[1.5,2]]}',
        b'{"missing":[["1","2"]]}',
    ],
)
def test_a_request_that_cannot_be_read_changes_nothing(payload: bytes) -> None:
    """It is told, and does not stand in the way of one that can be."""
    session = _said({"on": True})
    (ignored,) = session.received(RESYNC, payload, 0.0)
    assert isinstance(ignored, Ignored)
    assert ignored.topic == RESYNC
    assert session.outgoing(0.0) == []
    assert len(_ask(session)) == 1


def test_a_request_may_be_msgpack() -> None:
    """As everything that a bridge sends."""
    session = _said({"on": True})
    request = msgpack.packb({"$": {"id": "r1"}, "reason": "session_lost"})
    assert session.received(RESYNC, request, 0.0) == [ResyncRequested("session_lost")]


@given(st.data())
def test_the_answer_makes_up_for_whatever_was_lost(data: st.DataObject) -> None:
    """Alone it makes what all calls make but those that were refused, whatever is under way."""
    session = connected(new_session(window=3))
    calls: list[Said] = [({}, True)]
    refused: set[int] = set()
    in_flight: set[int] = set()
    assert session.report({}, 0.0, full=True) == 0
    for step in data.draw(st.lists(st.sampled_from(["report", "send", "answer"]), max_size=20)):
        if step == "report":
            calls.append((data.draw(patches()), data.draw(st.integers(0, 9)) == 9))
            assert session.report(calls[-1][0], 0.0, full=calls[-1][1]) == len(calls) - 1
        elif step == "send":
            in_flight.update(map(_seq, _sent(session)))
        elif in_flight:
            seq = data.draw(st.sampled_from(sorted(in_flight)))
            in_flight.remove(seq)
            head: JsonObject = {"id": f"b1.{seq}", "ok": True}
            if seq > 1 and data.draw(st.booleans()):
                head |= {"ok": False, "code": 409}
            (event,) = session.received(REPLY, orjson.dumps({"$": head}), 0.0)
            if isinstance(event, ReportRefused):
                refused.update(event.calls)
    assert len(_ask(session)) == 1
    session.answer_resync(0.0)
    last: JsonObject = {}
    while session.unanswered:
        for last in _sent(session):
            in_flight.add(_seq(last))
        for seq in sorted(in_flight):
            _answer(session, seq)
        in_flight.clear()
    metadata = last.pop("$")
    assert isinstance(metadata, dict)
    assert metadata["full"] is True
    taken = [call for number, call in enumerate(calls) if number not in refused]
    assert shown([(last, True)]) == shown(taken)


def _seq(report: JsonObject) -> int:
    metadata = report["$"]
    assert isinstance(metadata, dict)
    seq = metadata["seq"]
    assert isinstance(seq, int)
    return seq
