"""A session that is told to send more slowly."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.device import DeviceSession, ReportDeferred
from bridge.device.hold import PACED_S
from bridge.device.retry import RETRY_MAX_S
from tests.device.sessions import REPLY, connected, new_session

SLOWLY: dict[str, Any] = {
    "ok": False,
    "code": 429,
    "error": "too_fast",
    "message": "m",
    "retry_after_s": 0.5,
    "messages_per_s": 1,
}


def answer(session: DeviceSession, seq: int, now: float, **members: Any) -> list[Any]:
    """Have the bridge answer a report."""
    head = {"id": f"b1.{seq}", "ok": True, "version": 7, "changed": True, **members}
    return session.received(REPLY, orjson.dumps({"$": head}), now)


def seqs(session: DeviceSession, now: float) -> list[int]:
    """Return the numbers of the reports that are sent now."""
    return [orjson.loads(message.payload)["$"]["seq"] for message in session.outgoing(now)]


@pytest.fixture
def session() -> DeviceSession:
    """One with four reports on their way."""
    made = connected(new_session())
    for level in range(4):
        made.report({"a": level}, 0.0)
        assert seqs(made, 0.0) == [level + 1]
    return made


def test_it_waits_as_long_as_it_is_told_and_goes_on_at_the_pace(session: DeviceSession) -> None:
    """One refusal counts for all that is unanswered: few of what is too fast is answered."""
    assert answer(session, 2, 0.0, **SLOWLY) == [ReportDeferred("b1", 2, 429, "m", 0.5)]
    assert session.next_due_s() == 0.5
    assert seqs(session, 0.4) == []
    assert seqs(session, 0.5) == [1]
    answer(session, 1, 0.6)
    # An answer does not end the wait, as it does after a refusal that tells no time.
    assert session.next_due_s() == 1.5
    assert seqs(session, 1.4) == []
    assert (seqs(session, 1.5), seqs(session, 2.0), seqs(session, 2.5)) == ([2], [], [3])
    assert session.unanswered == 3


def test_what_waits_meanwhile_is_merged_and_not_lost(session: DeviceSession) -> None:
    """It gets its number when it is its turn."""
    answer(session, 1, 0.0, **SLOWLY)
    for level in range(100):
        session.report({"b": level}, 0.1)
    assert session.unanswered == 5
    for seq in range(1, 5):
        assert seqs(session, seq - 0.5) == [seq]
        answer(session, seq, seq - 0.4)
    (last,) = session.outgoing(4.5)
    assert orjson.loads(last.payload) == {"b": 99, "$": {"id": "b1.5", "boot": "b1", "seq": 5}}


def test_the_window_is_whole_again_after_a_time_without_a_refusal(session: DeviceSession) -> None:
    """So that a limit that was met once does not slow it down for ever."""
    answer(session, 1, 0.0, **SLOWLY)
    assert seqs(session, 0.5 + PACED_S) == [1, 2, 3, 4]


def test_a_time_beyond_all_measure_is_not_waited_for(session: DeviceSession) -> None:
    """Whoever answers could keep a device silent."""
    (deferred,) = answer(session, 1, 0.0, **{**SLOWLY, "retry_after_s": 1e300})
    assert deferred.delay_s == RETRY_MAX_S
    assert seqs(session, RETRY_MAX_S) == [1]


@pytest.mark.parametrize("told", [0, -1, "1", None, True, [1]])
def test_a_time_that_makes_no_sense_is_none(session: DeviceSession, told: object) -> None:
    """Then it waits as after a refusal that tells no time."""
    (deferred,) = answer(session, 1, 0.0, **{**SLOWLY, "retry_after_s": told})
    assert deferred.delay_s == 5.0
    assert seqs(session, 5.0) == [1, 2, 3, 4]


def test_a_request_waits_as_long_as_it_is_told() -> None:
    """One for a twin."""
    session = connected(new_session())
    request_id = session.get(0.0)
    assert len(session.outgoing(0.0)) == 1
    refusal = orjson.dumps({"$": {**SLOWLY, "id": request_id}})
    assert session.received(REPLY, refusal, 0.0) == []
    assert session.next_due_s() == 0.5
    assert len(session.outgoing(0.5)) == 1
