from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from typing import cast

import pytest

from bridge.device import Device, JsonObject, JsonValue, resync, whole_state
from bridge.device.payload import decode
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge, ignore_it, take_it
from tests.support.mosquitto import Mosquitto


@pytest.fixture(autouse=True)
def _no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests ask as often as they like; the interval has tests of its own."""
    monkeypatch.setattr(resync, "RESYNC_INTERVAL_S", 0.0)


def _reports(bridge: ScriptedBridge) -> list[tuple[JsonObject, bool]]:
    """Return what was reported, without repeats, and whether each was full."""
    reports = []
    for payload in dict.fromkeys(bridge.reports):
        document = decode(payload)
        metadata = document.pop("$")
        assert isinstance(metadata, dict)
        reports.append((document, metadata.get("full", False) is True))
    return reports


def test_the_bridge_gets_what_the_handler_returns(bridge: ScriptedBridge, lamp: Device) -> None:
    """As a full report, which removes what the handler does not name."""
    lamp.report({"on": False, "old": 1}).wait(PATIENCE_S)

    @lamp.on_resync
    def everything() -> JsonObject:
        return {"on": True}

    bridge.ask_for_everything("lamp-1", reason="session_lost")
    bridge.wait_until(lambda: len(bridge.reports) == 2)
    assert _reports(bridge)[1] == ({"on": True}, True)
    assert everything() == {"on": True}


@pytest.mark.parametrize("full", [True, False])
def test_without_a_handler_what_was_reported_is_repeated(
    bridge: ScriptedBridge, lamp: Device, full: bool
) -> None:
    """As everything only where the process has said everything."""
    lamp.report({"on": True, "level": 1}, full=full).wait(PATIENCE_S)
    lamp.report({"level": 2}).wait(PATIENCE_S)
    bridge.ask_for_everything("lamp-1", reason="gap", boot="unknown", missing=[[1, 1]])
    bridge.wait_until(lambda: len(bridge.reports) == 3)
    assert _reports(bridge)[2] == ({"on": True, "level": 2}, full)


def test_a_device_that_has_said_nothing_stays_silent(
    bridge: ScriptedBridge, lamp: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so in its log."""
    caplog.set_level(logging.INFO, logger="syncbridge.device")
    _pass_through(bridge, lamp)
    bridge.ask_for_everything("lamp-1", reason="session_lost")
    _pass_through(bridge, lamp)
    lamp.report({"on": True}).wait(PATIENCE_S)
    assert _reports(bridge) == [({"on": True}, False)]
    assert "asks for the whole state: session_lost" in caplog.text
    assert "nothing is repeated" in caplog.text


def test_a_handler_that_fails_is_logged_and_asked_again(
    bridge: ScriptedBridge, lamp: Device, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it raises or returns what cannot be reported; the device goes on."""
    answers: queue.Queue[object] = queue.Queue()
    called = threading.Semaphore(0)

    @lamp.on_resync
    def everything() -> Mapping[str, object]:
        called.release()
        answer = answers.get(timeout=PATIENCE_S)
        if isinstance(answer, Exception):
            raise answer
        return cast("Mapping[str, object]", answer)

    lamp.report({"n": 0}).wait(PATIENCE_S)
    for answer in (RuntimeError("the relay is stuck"), None, {"$": 1}):
        bridge.ask_for_everything("lamp-1")
        assert called.acquire(timeout=PATIENCE_S)
        answers.put(answer)
        # A round trip through the handlers' thread: the one above has ended.
        _pass_through(bridge, lamp)
    bridge.ask_for_everything("lamp-1")
    answers.put({"on": True})
    bridge.wait_until(lambda: _reports(bridge)[-1] == ({"on": True}, True))
    assert "the relay is stuck" in caplog.text
    assert "a patch is a dict, not NoneType" in caplog.text
    assert "keys that start with $ are reserved" in caplog.text
    assert caplog.text.count("a handler failed") == 3


_versions = iter(range(1, 1000))


def _pass_through(bridge: ScriptedBridge, lamp: Device) -> None:
    """Wait until the handlers' thread has done all that it had to do."""
    passed = threading.Event()
    version = next(_versions)

    @lamp.on_delta
    def note(wanted: JsonObject) -> None:
        if wanted.get("pass") == version:
            passed.set()

    bridge.want("lamp-1", version, **{"pass": version})
    assert passed.wait(PATIENCE_S)


def test_what_is_reported_while_the_handler_runs_is_not_undone(
    bridge: ScriptedBridge, lamp: Device
) -> None:
    """The handler may have looked before it; and it may report itself."""
    entered, release = threading.Event(), threading.Event()

    @lamp.on_resync
    def everything() -> JsonObject:
        state: JsonObject = {"on": False, "level": 1}
        entered.set()
        assert release.wait(PATIENCE_S)
        lamp.report({"level": 2})
        return state

    _pass_through(bridge, lamp)
    bridge.ask_for_everything("lamp-1")
    assert entered.wait(PATIENCE_S)
    lamp.report({"on": True}).wait(PATIENCE_S)
    release.set()
    bridge.wait_until(lambda: any(full for _, full in _reports(bridge)))
    lamp.flush(PATIENCE_S)
    assert bridge.reported["lamp-1"] == {"on": True, "level": 2}


def test_a_full_report_while_the_handler_runs_is_the_answer(
    bridge: ScriptedBridge, lamp: Device
) -> None:
    """It is newer than what the handler has found."""
    entered, release = threading.Event(), threading.Event()

    @lamp.on_resync
    def everything() -> JsonObject:
        entered.set()
        assert release.wait(PATIENCE_S)
        return {"stale": True}

    _pass_through(bridge, lamp)
    bridge.ask_for_everything("lamp-1")
    assert entered.wait(PATIENCE_S)
    lamp.report({"on": True}, full=True).wait(PATIENCE_S)
    release.set()
    _pass_through(bridge, lamp)
    lamp.report({"level": 1}).wait(PATIENCE_S)
    assert _reports(bridge) == [({"on": True}, True), ({"level": 1}, False)]


def test_what_is_kept_while_the_handler_runs_is_bounded(
    bridge: ScriptedBridge,
    lamp: Device,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler that takes long is asked again, when there may be less to do."""
    monkeypatch.setattr(whole_state, "REPORTS_MEANWHILE_MAX", 3)
    entered, release = threading.Semaphore(0), threading.Event()

    @lamp.on_resync
    def everything() -> JsonObject:
        entered.release()
        assert release.wait(PATIENCE_S)
        return {"on": True}

    _pass_through(bridge, lamp)
    bridge.ask_for_everything("lamp-1")
    assert entered.acquire(timeout=PATIENCE_S)
    for level in range(5):
        lamp.report({"level": level}).wait(PATIENCE_S)
    release.set()
    _pass_through(bridge, lamp)
    assert "more than 3 reports meanwhile" in caplog.text
    assert not any(full for _, full in _reports(bridge))
    bridge.ask_for_everything("lamp-1")
    bridge.wait_until(lambda: _reports(bridge)[-1] == ({"on": True}, True))


def test_a_request_while_the_handler_runs_or_the_answer_is_under_way_is_the_same(
    bridge: ScriptedBridge, lamp: Device
) -> None:
    """However impatient the bridge is, there is one answer."""
    calls: queue.Queue[int] = queue.Queue()
    entered, release = threading.Event(), threading.Event()

    @lamp.on_resync
    def everything() -> dict[str, JsonValue]:
        calls.put(1)
        entered.set()
        assert release.wait(PATIENCE_S)
        return {"on": True}

    _pass_through(bridge, lamp)
    for _ in range(3):
        bridge.ask_for_everything("lamp-1")
    assert entered.wait(PATIENCE_S)
    for _ in range(3):
        bridge.ask_for_everything("lamp-1")
    lamp.report({"n": 1}).wait(PATIENCE_S)
    bridge.decide = ignore_it
    release.set()
    bridge.wait_until(lambda: _reports(bridge)[-1] == ({"on": True, "n": 1}, True))
    for _ in range(3):
        bridge.ask_for_everything("lamp-1")
    _pass_through(bridge, lamp)
    lamp.close(timeout_s=0)
    assert calls.qsize() == 1
    assert len(_reports(bridge)) == 2


def test_an_answer_that_there_is_no_room_for_is_logged(
    bridge: ScriptedBridge, mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """The pump goes on, and so does the device."""
    bridge.decide = ignore_it
    with Device("lamp-1", port=mosquitto.port, window=1, capacity=1, retry_after_s=0.1) as lamp:
        report = lamp.report({"on": True})
        bridge.wait_until(lambda: len(bridge.reports) == 1)
        bridge.ask_for_everything("lamp-1", reason="session_lost")
        bridge.wait_until(lambda: len(bridge.reports) == 3)
        bridge.decide = take_it
        report.wait(PATIENCE_S)
    assert "could not be repeated" in caplog.text
    assert "capacity is 1" in caplog.text
    assert len(_reports(bridge)) == 1
