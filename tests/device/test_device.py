from __future__ import annotations

import queue
import threading
from typing import Literal

import orjson
import pytest

from bridge.device import (
    Device,
    JsonObject,
    ReportRefused,
    Twin,
)
from bridge.device.requests import REQUESTS_MAX
from bridge.errors import NotAnswered, Refused
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge
from tests.support.mosquitto import Mosquitto


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


def test_a_full_report_answers_for_what_it_replaces(
    bridge: ScriptedBridge, mosquitto: Mosquitto
) -> None:
    """Who waits for a patch that was never sent by itself waits for the one that was."""
    lamp = Device("lamp-1", port=mosquitto.port)
    reports = [lamp.report({"level": 1}), lamp.report({"on": True}, full=True)]
    with lamp:
        assert {report.wait(PATIENCE_S).version for report in reports} == {1}
    assert bridge.reported == {"lamp-1": {"on": True}}


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
