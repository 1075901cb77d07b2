"""A boot that the bridge has closed: what waits is sent again in another, and not for ever."""

from __future__ import annotations

import itertools

import orjson

from bridge.device import Answered, BootClosed, DeviceSession, Event, JsonObject, ReportRefused
from bridge.device.kept import Restored, SealedReport
from bridge.device.session import BOOTS_CLOSED_MAX
from tests.device.memory_journal import MemoryJournal
from tests.device.sessions import REPLY, connected

OLD = b'{"old":1,"$":{"id":"b0.7","boot":"b0","seq":7,"full":true,"seen":4}}'


def new_session(**options: object) -> DeviceSession:
    """A session in boot b1, of which the next are b2, b3 and so on."""
    boots = (f"b{number}" for number in itertools.count(2))
    given = {"boot": "b1", "new_boot": lambda: next(boots), **options}
    return DeviceSession("lamp-1", **given)  # type: ignore[arg-type]


def sent(session: DeviceSession, now: float = 0.0) -> list[JsonObject]:
    """What is to be published now, decoded."""
    return [orjson.loads(message.payload) for message in session.outgoing(now)]


def close(session: DeviceSession, request_id: str) -> list[Event]:
    """Let the bridge refuse a report because its boot was closed."""
    head = {"id": request_id, "ok": False, "code": 401, "error": "boot_closed", "message": "m"}
    return session.received(REPLY, orjson.dumps({"$": head}), 0.0)


def take(session: DeviceSession, request_id: str, version: int = 1) -> list[Event]:
    """Let the bridge take a report."""
    head = {"id": request_id, "ok": True, "version": version, "changed": True}
    return session.received(REPLY, orjson.dumps({"$": head}), 0.0)


def test_what_waits_is_sent_again_in_another_boot() -> None:
    """In its order, with all that was said of it, and answered to who has reported it."""
    session = connected(new_session(window=2))
    session.report({"a": 1}, 0.0)
    session.report({"a": 2}, 0.0, full=True, seen=3)
    assert len(sent(session)) == 1
    session.report({"b": 3}, 0.0)
    assert len(sent(session)) == 1
    assert close(session, "b1.1") == [BootClosed("b1", "b2", 2)]
    assert close(session, "b1.2") == []
    presence, first, second = sent(session)
    assert presence == {"online": True, "boot": "b2"}
    assert first["$"] == {"id": "b2.1", "boot": "b2", "seq": 1, "seen": 3, "full": True}
    assert (first["a"], second["b"], second["$"]) == (2, 3, {"id": "b2.2", "boot": "b2", "seq": 2})
    (answered,) = take(session, "b2.1")
    assert isinstance(answered, Answered)
    assert (answered.boot, answered.seq, answered.calls) == ("b2", 1, range(2))
    take(session, "b2.2")
    session.report({"c": 4}, 0.0)
    assert sent(session)[0]["$"] == {"id": "b2.3", "boot": "b2", "seq": 3}
    assert orjson.loads(session.will.payload) == {"online": False, "boot": "b2"}


def test_what_an_earlier_process_has_left_is_sent_in_the_boot_of_this_one() -> None:
    """It needs no other: this one was not closed."""
    session = new_session(restored=Restored([SealedReport("b0", 7, OLD)]))
    session.connected(0.0)
    session.report({"new": 1}, 0.0)
    assert sent(session)[1:] == [orjson.loads(OLD)]
    assert close(session, "b0.7") == [BootClosed("b0", "b1", 1)]
    again, new = sent(session)
    assert again == {"old": 1, "$": {"id": "b1.1", "boot": "b1", "seq": 1, "seen": 4, "full": True}}
    assert (new["new"], new["$"]["seq"]) == (1, 2)  # type: ignore[index,call-overload]


def test_what_was_answered_out_of_turn_is_said_again_behind_what_was_not() -> None:
    """Else an old value would cover a newer one."""
    session = connected(new_session())
    for value in (1, 2):
        session.report({"a": value}, 0.0)
        sent(session)
    take(session, "b1.2")
    assert close(session, "b1.1") == [BootClosed("b1", "b2", 2)]
    assert [report.get("a") for report in sent(session)] == [None, 1, 2]
    take(session, "b2.2")
    take(session, "b2.1")
    assert session.unanswered == 0
    session.answer_resync(0.0)
    assert sent(session)[0]["a"] == 2


def test_a_bridge_that_closes_every_boot_is_given_up() -> None:
    """Then the report counts as refused; what is taken in between lets it begin anew."""
    session = connected(new_session())
    session.report({"a": 1}, 0.0)
    sent(session)
    for number in range(1, BOOTS_CLOSED_MAX + 1):
        assert isinstance(close(session, f"b{number}.1")[0], BootClosed)
        sent(session)
    (refused,) = close(session, f"b{BOOTS_CLOSED_MAX + 1}.1")
    assert isinstance(refused, ReportRefused)
    assert (refused.error, refused.patch) == ("boot_closed", {"a": 1})
    assert session.unanswered == 0
    session.report({"a": 2}, 0.0)
    sent(session)
    take(session, f"b{BOOTS_CLOSED_MAX + 1}.2")
    session.report({"a": 3}, 0.0)
    sent(session)
    assert isinstance(close(session, f"b{BOOTS_CLOSED_MAX + 1}.3")[0], BootClosed)


def test_without_another_boot_the_report_is_refused() -> None:
    """As every other that is refused for good."""
    session = connected(DeviceSession("lamp-1", boot="b1"))
    session.report({"a": 1}, 0.0)
    sent(session)
    assert isinstance(close(session, "b1.1")[0], ReportRefused)


def test_the_journal_keeps_what_waits_under_its_new_number() -> None:
    """Once: a process that is killed now sends it once."""
    for can_rewrite in (True, False):
        journal = MemoryJournal()
        session = connected(new_session(journal=journal, window=1))
        session.report({"a": 1}, 0.0)
        sent(session)
        session.report({"b": 2}, 0.0)
        journal.is_full = not can_rewrite
        close(session, "b1.1")
        restored = journal.crash(10_000)
        assert [(report.boot, report.seq) for report in restored.sealed] == [("b2", 1)]
        assert [waiting.patch for waiting in restored.pending] == [{"b": 2}]
