from __future__ import annotations

import queue
import threading

import orjson
import pytest

from bridge.core.limits import Limits
from bridge.device import Device, DeviceSession, JsonObject, JsonValue
from bridge.device.kept import Restored, WaitingPatch
from bridge.device.outbox import Outbox
from bridge.device.payload import decode
from tests.device.memory_journal import MemoryJournal
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge
from tests.device.sessions import DELTA, REPLY, connected, get_answer, new_session
from tests.support.mosquitto import Mosquitto


def _delta(version: int) -> bytes:
    return orjson.dumps({"version": version, "at": 1, "state": {"on": True}})


def _metadata(payload: bytes) -> JsonObject:
    metadata = decode(payload)["$"]
    assert isinstance(metadata, dict)
    return metadata


def _sent_seen(session: DeviceSession) -> list[JsonValue]:
    reports = [sent for sent in session.outgoing(0.0) if sent.topic.endswith("/report")]
    return [_metadata(report.payload).get("seen") for report in reports]


def test_a_report_carries_the_version_of_the_newest_delta() -> None:
    """In the bytes that the protocol's documentation shows; an older delta does not lower it."""
    session = connected(new_session())
    session.received(DELTA, _delta(13), 0.0)
    session.received(DELTA, _delta(12), 0.0)
    session.report({"on": True}, 0.0)
    (report,) = session.outgoing(0.0)
    assert report.payload == b'{"on":true,"$":{"id":"b1.1","boot":"b1","seq":1,"seen":13}}'


def test_who_was_given_nothing_has_seen_nothing() -> None:
    """A reply has a version too, but shows nothing of the twin."""
    session = connected(new_session())
    session.report({"on": True}, 0.0)
    session.outgoing(0.0)
    answer = {"$": {"id": "b1.1", "ok": True, "version": 40, "changed": True}}
    session.received(REPLY, orjson.dumps(answer), 0.0)
    session.received(DELTA, b"", 0.0)
    session.report({"on": False}, 0.0)
    assert _sent_seen(session) == [None]


def test_the_own_twin_is_seen_and_anothers_is_not() -> None:
    """Versions of different twins have nothing to do with each other."""
    session = connected(new_session())
    session.request_state("thermo-1", 0.0)
    state = b'{"version":90,"at":2,"reported":{},"desired":{}}'
    assert len(session.received("sync/thermo-1/state", state, 0.0)) == 1
    session.report({"a": 1}, 0.0)
    assert _sent_seen(session) == [None]
    session.received(REPLY, get_answer(session.get(0.0)), 0.0)
    session.report({"a": 2}, 0.0)
    assert _sent_seen(session) == [9]
    session.request_state("lamp-1", 0.0)
    assert len(session.received("sync/lamp-1/state", state, 0.0)) == 1
    session.report({"a": 3}, 0.0)
    assert _sent_seen(session) == [90]


def test_a_composed_report_has_seen_what_its_first_patch_had_seen() -> None:
    """What was decided without knowing a version must not claim to have known it."""
    session = connected(new_session(window=1))
    session.report({"a": 1}, 0.0)
    assert _sent_seen(session) == [None]
    session.received(DELTA, _delta(5), 0.0)
    session.report({"a": 2}, 0.0)
    session.received(DELTA, _delta(6), 0.0)
    session.report({"b": 3}, 0.0)
    session.received(REPLY, b'{"$":{"id":"b1.1","ok":true,"version":7}}', 0.0)
    assert _sent_seen(session) == [5]


def test_a_full_report_has_seen_what_was_known_when_it_was_made() -> None:
    """Of what waited before it nothing is left, so its ignorance is not inherited."""
    session = new_session()
    session.report({"a": 1}, 0.0)
    session.received(DELTA, _delta(5), 0.0)
    session.report({"b": 2}, 0.0, full=True)
    session.received(DELTA, _delta(6), 0.0)
    session.report({"c": 3}, 0.0)
    session.connected(0.0)
    assert _sent_seen(session) == [5]


def test_the_caller_may_say_what_was_seen() -> None:
    """A program with threads knows better what it had seen; 0 is nothing."""
    session = connected(new_session())
    session.received(DELTA, _delta(5), 0.0)
    session.report({"a": 1}, 0.0, seen=3)
    session.report({"a": {"b": 1}}, 0.0, seen=0)
    assert _sent_seen(session) == [3, None]


def test_what_was_seen_is_kept_over_a_restart() -> None:
    """With what is sent it is in the bytes; with what waits, it stands in the journal."""
    journal = MemoryJournal(rewrite_bytes=1)

    def outbox(boot: str, restored: Restored) -> Outbox:
        return Outbox(
            boot,
            window=1,
            capacity=9,
            encoding="json",
            limits=Limits(),
            journal=journal,
            restored=restored,
        )

    before = outbox("b1", Restored())
    before.add({"a": 1}, 0.0, full=False, seen=4)
    before.seal(0.0)
    before.add({"a": 2}, 0.0, full=False, seen=5)
    before.add({"b": 2}, 0.0, full=False, seen=6)
    # Written anew before this one: what is composed has one line.
    before.add({"c": 2}, 0.0, full=False, seen=7)
    restored = journal.crash(0)
    assert restored.pending == [
        WaitingPatch({"a": 2, "b": 2}, full=False, seen=5),
        WaitingPatch({"c": 2}, full=False, seen=7),
    ]
    after = outbox("b2", restored)
    after.add({"d": 3}, 0.0, full=False, seen=9)
    assert _metadata(after.in_flight()[0].report.payload)["seen"] == 4
    after.settle("b1.1")
    after.seal(0.0)
    assert _metadata(after.in_flight()[0].report.payload)["seen"] == 5


def test_a_device_has_seen_what_its_handler_was_given(
    bridge: ScriptedBridge, mosquitto: Mosquitto
) -> None:
    """Not what has arrived and still waits behind a handler that is busy."""
    given: queue.Queue[JsonObject] = queue.Queue()
    release = threading.Event()
    with Device("lamp-1", port=mosquitto.port) as lamp:
        lamp.report({"n": 0}).wait(PATIENCE_S)

        @lamp.on_delta
        def obey(wanted: JsonObject) -> None:
            given.put(wanted)
            assert release.wait(PATIENCE_S)

        bridge.want("lamp-1", 5, on=True)
        given.get(timeout=PATIENCE_S)
        bridge.want("lamp-1", 6, on=False)
        # A round trip behind that delta: it has arrived, and the handler is not yet done with 5.
        lamp.report({"n": 1}).wait(PATIENCE_S)
        lamp.report({"n": 2}).wait(PATIENCE_S)
        release.set()
        given.get(timeout=PATIENCE_S)
        lamp.report({"n": 3}).wait(PATIENCE_S)
    seen = [_metadata(report).get("seen") for report in bridge.reports]
    assert seen == [None, 5, 5, 6]


@pytest.mark.parametrize("own", [True, False])
def test_a_device_has_seen_the_twin_that_it_fetched(
    bridge: ScriptedBridge, lamp: Device, own: bool
) -> None:
    """Its own, in whichever way; and not a delta for which nobody has registered."""
    bridge.want("lamp-1", 5, on=True)
    lamp.report({"n": 0}).wait(PATIENCE_S)
    lamp.report({"n": 1}).wait(PATIENCE_S)
    if own:
        lamp.get(PATIENCE_S)
    else:
        lamp.state_of("lamp-1", PATIENCE_S)
    lamp.report({"n": 2}).wait(PATIENCE_S)
    assert [_metadata(report).get("seen") for report in bridge.reports] == [None, None, 2]
