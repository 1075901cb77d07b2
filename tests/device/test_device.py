from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import orjson
import pytest

from bridge.device import (
    Device,
    DeviceSession,
    JsonObject,
    OutgoingMessage,
    ReportRefused,
    Twin,
)
from bridge.device.requests import REQUESTS_MAX
from bridge.errors import DeviceError, JournalError, NotAnswered, OutboxFull, Refused
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge, ignore_it, take_it
from tests.support.mosquitto import Mosquitto, free_port


@pytest.fixture
def bridge(mosquitto: Mosquitto) -> Iterator[ScriptedBridge]:
    """A scripted bridge on a fresh broker."""
    with ScriptedBridge(mosquitto) as scripted:
        yield scripted


@pytest.fixture
def lamp(mosquitto: Mosquitto, bridge: ScriptedBridge) -> Iterator[Device]:
    """A device that is connected to the bridge's broker."""
    with Device("lamp-1", port=mosquitto.port) as device:
        yield device


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_report_ends_in_the_twin_and_has_an_answer(
    mosquitto: Mosquitto,
    bridge: ScriptedBridge,
    protocol: Literal["3.1.1", "5"],
    encoding: Literal["json", "msgpack"],
) -> None:
    """In both versions of MQTT, and both encodings."""
    with Device("lamp-1", port=mosquitto.port, protocol=protocol, encoding=encoding) as lamp:
        report = lamp.report({"on": True})
        answer = report.wait(PATIENCE_S)
        assert (answer.version, answer.changed, answer.duplicate) == (1, True, False)
        assert report.answered
        assert lamp.connected
        assert lamp.unanswered == 0
        assert lamp.get(PATIENCE_S) == Twin(1, {"on": True}, {}, at=1)
    assert bridge.reported == {"lamp-1": {"on": True}}


def test_a_lamp_obeys_in_ten_lines(mosquitto: Mosquitto, bridge: ScriptedBridge) -> None:
    """A handler registered inside the block is told what was wanted before."""
    bridge.want("lamp-1", 5, on=True)
    with Device("lamp-1", port=mosquitto.port) as lamp:

        @lamp.on_delta
        def obey(wanted: JsonObject) -> None:
            lamp.report(wanted).wait(PATIENCE_S)

        bridge.wait_until(lambda: bridge.reported.get("lamp-1") == {"on": True})
        bridge.want("lamp-1", 6, level=3)
        bridge.wait_until(lambda: bridge.reported.get("lamp-1") == {"on": True, "level": 3})


def test_a_late_handler_is_told_what_is_outstanding(
    bridge: ScriptedBridge, mosquitto: Mosquitto
) -> None:
    """The delta that came with the connection is not lost on who registers afterwards."""
    bridge.want("lamp-1", 5, on=True)
    with Device("lamp-1", port=mosquitto.port) as lamp:
        lamp.report({}).wait(PATIENCE_S)
        late: queue.Queue[JsonObject] = queue.Queue()
        lamp.on_delta(late.put)
        assert late.get(timeout=PATIENCE_S) == {"on": True}


def test_each_handler_gets_every_newest_delta_and_its_own_copy(
    bridge: ScriptedBridge, lamp: Device
) -> None:
    """Older versions are passed over; what one handler changes another does not see."""
    seen: queue.Queue[JsonObject] = queue.Queue()

    def spoil(wanted: JsonObject) -> None:
        wanted["spoilt"] = True

    lamp.on_delta(spoil)
    lamp.on_delta(seen.put)
    bridge.want("lamp-1", 5, on=True)
    assert seen.get(timeout=PATIENCE_S) == {"on": True}
    bridge.want("lamp-1", 4, on=False)
    bridge.want("lamp-1", 6, on=True, level=1)
    assert seen.get(timeout=PATIENCE_S) == {"on": True, "level": 1}
    assert seen.empty()


def test_a_delta_that_was_cleared_is_not_handed_to_a_late_handler(
    bridge: ScriptedBridge, lamp: Device
) -> None:
    """What is no longer outstanding is not wanted any more."""
    seen: queue.Queue[JsonObject] = queue.Queue()
    lamp.on_delta(seen.put)
    bridge.want("lamp-1", 5, on=True)
    seen.get(timeout=PATIENCE_S)
    bridge.want("lamp-1", 6)
    late: queue.Queue[JsonObject] = queue.Queue()
    lamp.report({"on": True}).wait(PATIENCE_S)
    lamp.on_delta(late.put)
    bridge.want("lamp-1", 7, on=False)
    assert late.get(timeout=PATIENCE_S) == {"on": False}


def test_handlers_may_wait_for_answers(bridge: ScriptedBridge, lamp: Device) -> None:
    """They run on a thread of their own, so nothing that they wait for waits for them."""
    done: queue.Queue[object] = queue.Queue()

    @lamp.on_delta
    def look(wanted: JsonObject) -> None:
        lamp.report(wanted).wait(PATIENCE_S)
        lamp.flush(PATIENCE_S)
        done.put((lamp.get(PATIENCE_S).reported, lamp.state_of("nobody", PATIENCE_S)))

    bridge.want("lamp-1", 1, on=True)
    assert done.get(timeout=PATIENCE_S) == ({"on": True}, None)


def test_a_handler_that_fails_is_logged_and_called_again(
    bridge: ScriptedBridge, lamp: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception is neither swallowed nor the end of the device."""
    calls: queue.Queue[JsonObject] = queue.Queue()

    @lamp.on_delta
    def fail(wanted: JsonObject) -> None:
        calls.put(wanted)
        raise RuntimeError("the relay is stuck")

    bridge.want("lamp-1", 1, on=True)
    calls.get(timeout=PATIENCE_S)
    bridge.want("lamp-1", 2, on=False)
    assert calls.get(timeout=PATIENCE_S) == {"on": False}
    lamp.close()
    assert "a handler failed" in caplog.text
    assert "the relay is stuck" in caplog.text


def test_a_refused_report_raises_and_calls_back(
    bridge: ScriptedBridge, lamp: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits, who registered and who reads the log all learn of it; the device goes on."""
    refused: queue.Queue[ReportRefused] = queue.Queue()
    lamp.on_refused(refused.put)
    bridge.decide = lambda report: (
        {"code": 422, "error": "bad_type", "message": "on is a boolean"}
        if report["on"] == "blue"
        else None
    )
    report = lamp.report({"on": "blue"})
    with pytest.raises(Refused, match="422 bad_type: on is a boolean") as caught:
        report.wait(PATIENCE_S)
    assert caught.value.code == 422
    assert refused.get(timeout=PATIENCE_S).patch == {"on": "blue"}
    assert "refused" in caplog.text
    lamp.report({"on": True}).wait(PATIENCE_S)


def test_calls_that_travel_together_have_the_same_answer(
    bridge: ScriptedBridge, mosquitto: Mosquitto
) -> None:
    """Made before the connection, they are one report."""
    lamp = Device("lamp-1", port=mosquitto.port)
    reports = [lamp.report({"level": level}) for level in range(50)]
    assert lamp.unanswered == 1
    with lamp:
        assert {report.wait(PATIENCE_S).version for report in reports} == {1}
    assert len(bridge.reports) == 1


def test_what_is_not_answered_is_sent_again_and_says_why(
    bridge: ScriptedBridge, mosquitto: Mosquitto
) -> None:
    """The broker's acknowledgement is not enough: the bridge is silent at first."""
    bridge.decide = ignore_it
    with Device("lamp-1", port=mosquitto.port, retry_after_s=0.1) as lamp:
        report = lamp.report({"on": True})
        bridge.wait_until(lambda: len(bridge.reports) >= 3)
        with pytest.raises(NotAnswered, match=r"within 0\.01 s .*does a bridge run"):
            report.wait(0.01)
        with pytest.raises(NotAnswered, match="not all reports were answered"):
            lamp.flush(0.01)
        bridge.decide = take_it
        assert report.wait(PATIENCE_S).changed
    assert len(set(bridge.reports)) == 1


def test_another_devices_state_is_retained_or_asked_for(
    bridge: ScriptedBridge, lamp: Device
) -> None:
    """Retained without a bridge's help; else the bridge answers, perhaps that there is none."""
    state = {"version": 3, "at": 2, "reported": {"t": 20.5}, "desired": {"t": 21}, "online": False}
    bridge.publish("sync/thermo-1/state", orjson.dumps(state), retain=True)
    expected = Twin(3, {"t": 20.5}, {"t": 21}, online=False, at=2)
    for _ in range(2):
        assert lamp.state_of("thermo-1", PATIENCE_S) == expected
    assert lamp.state_of("thermo-2", PATIENCE_S) is None
    lamp.report({"on": True}).wait(PATIENCE_S)
    own = lamp.state_of("lamp-1", PATIENCE_S)
    assert own is not None
    assert own.reported == {"on": True}


def test_a_get_without_a_twin_is_refused_with_404(bridge: ScriptedBridge, lamp: Device) -> None:
    """Before the first report there is nothing to get."""
    with pytest.raises(Refused) as caught:
        lamp.get(PATIENCE_S)
    assert caught.value.code == 404


def test_a_get_that_was_given_up_takes_no_place(mosquitto: Mosquitto) -> None:
    """Without a bridge each one ends in time, however many there were."""
    with Device("lamp-1", port=mosquitto.port) as lamp:
        for _ in range(REQUESTS_MAX + 1):
            with pytest.raises(NotAnswered, match=r"the twin did not come within 0\.0 s"):
                lamp.get(timeout_s=0.0)


def test_presence_follows_the_with_block(bridge: ScriptedBridge, mosquitto: Mosquitto) -> None:
    """Online within it, offline after it, with the same boot."""
    with Device("lamp-1", port=mosquitto.port):
        bridge.wait_until(lambda: len(bridge.presences) == 1)
    bridge.wait_until(lambda: len(bridge.presences) == 2)
    online, offline = (orjson.loads(presence) for presence in bridge.presences)
    assert (online["online"], offline["online"]) == (True, False)
    assert online["boot"] == offline["boot"]
    assert len(online["boot"]) == 16


def test_leaving_the_block_waits_for_the_last_answers(
    bridge: ScriptedBridge, mosquitto: Mosquitto
) -> None:
    """What was reported last is not lost by a program that ends."""
    with Device("lamp-1", port=mosquitto.port) as lamp:
        lamp.report({"on": True})
    assert bridge.reported == {"lamp-1": {"on": True}}


def test_a_closed_device_says_so(mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    """Who waits is woken, what is lost is counted, and nothing more is taken."""
    lamp = Device("lamp-1", port=mosquitto.port)
    lamp.start()
    report = lamp.report({"on": True})
    problems: queue.Queue[BaseException] = queue.Queue()

    def wait() -> None:
        try:
            report.wait(PATIENCE_S)
        except NotAnswered as error:
            problems.put(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    lamp.close(timeout_s=0)
    lamp.close()
    waiting.join(PATIENCE_S)
    assert "before the device was closed" in str(problems.get(timeout=PATIENCE_S))
    assert "closed with 1 unanswered report(s), which are lost" in caplog.text
    for use in (lambda: lamp.report({}), lamp.start, lamp.get):
        with pytest.raises(DeviceError, match="the device was closed"):
            use()


def test_a_broker_that_cannot_be_reached_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """In the log, once, and in the error of who waits; capacity bounds what gathers."""
    port = free_port()
    with Device("lamp-1", port=port, capacity=2, window=2) as lamp:
        report = lamp.report({"a": 1})
        lamp.report({"a": {"b": 1}})
        with pytest.raises(OutboxFull, match="capacity is 2"):
            lamp.report({"a": 1})
            lamp.report({"a": {"b": 1}})
        assert not report.answered
        _wait_for_problem(lamp, f"broker 127.0.0.1:{port} cannot be reached")
        lamp.close(timeout_s=0)
    lines = [line for line in caplog.messages if "cannot be reached" in line]
    assert len(lines) == 1


def test_a_refused_login_is_named(tmp_path: Path) -> None:
    """Not that the bridge is silent, but that the broker wants someone else."""
    (tmp_path / "passwords").write_text("")
    extra = f"allow_anonymous false\npassword_file {tmp_path / 'passwords'}"
    broker = Mosquitto(tmp_path / "mosquitto", extra=extra)
    configuration = tmp_path / "mosquitto" / "mosquitto.conf"
    configuration.write_text(configuration.read_text().replace("allow_anonymous true\n", ""))
    with broker, Device("lamp-1", port=broker.port, username="u", password="p") as lamp:  # noqa: S106
        _wait_for_problem(lamp, "refuses the connection: Not authorized")
        lamp.close(timeout_s=0)


def _wait_for_problem(lamp: Device, problem: str) -> None:
    """Ask until the answer says what is wrong."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with pytest.raises(NotAnswered) as caught:
            lamp.get(timeout_s=0.1)
        if problem in str(caught.value):
            return
    pytest.fail(f"never said {problem!r}")


def test_two_devices_cannot_share_an_outbox(tmp_path: Path) -> None:
    """Neither at a time, nor one after the other."""
    first = Device("lamp-1", outbox=tmp_path / "outbox")
    with pytest.raises(JournalError, match="another process holds it"):
        Device("lamp-1", outbox=tmp_path / "outbox")
    first.close()
    with pytest.raises(
        JournalError, match="for 'sync/lamp-1/report', not for 'sync/lamp-2/report'"
    ):
        Device("lamp-2", outbox=tmp_path / "outbox")
    Device("lamp-1", outbox=tmp_path / "outbox").close()
    with pytest.raises(ValueError, match="window 99"):
        Device("lamp-1", outbox=tmp_path / "outbox", window=99)
    Device("lamp-1", outbox=str(tmp_path / "outbox")).close()


def test_many_threads_may_report_at_once(bridge: ScriptedBridge, lamp: Device) -> None:
    """Every call is answered, and the twin has the last of each thread."""

    def report(thread: int) -> None:
        handles = [lamp.report({f"t{thread}": number}) for number in range(200)]
        for handle in handles:
            handle.wait(PATIENCE_S)

    threads = [threading.Thread(target=report, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bridge.reported["lamp-1"] == {f"t{number}": 199 for number in range(4)}


def test_what_nobody_understands_is_logged_now_and_then(
    bridge: ScriptedBridge, lamp: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever may publish to a device's topics must not be able to fill its disk."""
    caplog.set_level(logging.INFO, logger="syncbridge.device")
    lamp.report({"on": True}).wait(PATIENCE_S)
    for number in range(20):
        bridge.publish("sync/lamp-1/reply/lamp-1", b"nonsense %d" % number)
    lamp.report({"on": False}).wait(PATIENCE_S)
    assert len([line for line in caplog.messages if "passed over a message" in line]) == 1


def test_a_handler_may_close_the_device(bridge: ScriptedBridge, mosquitto: Mosquitto) -> None:
    """A device that is told to end does so without waiting for itself."""
    closed = threading.Event()
    lamp = Device("lamp-1", port=mosquitto.port)

    @lamp.on_delta
    def end(_wanted: JsonObject) -> None:
        lamp.close()
        closed.set()

    lamp.start()
    bridge.want("lamp-1", 1, off=True)
    assert closed.wait(PATIENCE_S)


def test_a_publish_that_the_broker_refuses_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """MQTT 5 brokers say so; no reply can come, and the reason is not to be guessed."""
    access = tmp_path / "access"
    access.write_text("topic readwrite elsewhere/#\n")
    with (
        Mosquitto(tmp_path / "mosquitto", extra=f"acl_file {access}") as broker,
        Device("lamp-1", port=broker.port, protocol="5") as lamp,
    ):
        _wait_for_problem(lamp, "does a bridge run on it?")
        lamp.close(timeout_s=0)
    assert "refuses a publish: Not authorized: check its access control list" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"host": ""}, "host is empty"),
        ({"port": 0}, "port 0"),
        ({"port": 65536}, "port 65536"),
        ({"keepalive_s": 0}, "keepalive_s 0"),
        ({"protocol": "3.1"}, "protocol '3.1'"),
        ({"password": "p"}, "password without username"),
        ({"device_id": "a/b"}, "device id 'a/b'"),
    ],
)
def test_an_argument_that_cannot_be_right_is_refused_at_once(
    arguments: dict[str, object], why: str, tmp_path: Path
) -> None:
    """Not when a thread stumbles over it; and the outbox is free again."""
    outbox = tmp_path / "outbox"
    with pytest.raises(ValueError, match=why):
        Device(**({"device_id": "lamp-1", "outbox": outbox} | arguments))  # type: ignore[arg-type]
    outbox.unlink(missing_ok=True)
    Device("lamp-1", outbox=outbox).close()


def test_a_fault_in_the_library_does_not_end_the_device(
    bridge: ScriptedBridge,
    lamp: Device,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged with its place, and what is unanswered is tried again."""
    outgoing = DeviceSession.outgoing
    faults = iter([RuntimeError("a fault")])

    def fail_once(session: DeviceSession, now: float) -> list[OutgoingMessage]:
        for fault in faults:
            raise fault
        return outgoing(session, now)

    monkeypatch.setattr(DeviceSession, "outgoing", fail_once)
    lamp.report({"on": True}).wait(PATIENCE_S)
    assert "a fault in the device library" in caplog.text


def test_closing_does_not_wait_for_a_broker_that_is_stuck(mosquitto: Mosquitto) -> None:
    """A connection that stands and is silent costs seconds, not the keepalive."""
    lamp = Device("lamp-1", port=mosquitto.port, keepalive_s=3600)
    lamp.start()
    _wait_for_problem(lamp, "does a bridge run on it?")
    os.kill(mosquitto.pid, signal.SIGSTOP)
    try:
        lamp.close(timeout_s=0)
    finally:
        os.kill(mosquitto.pid, signal.SIGCONT)
