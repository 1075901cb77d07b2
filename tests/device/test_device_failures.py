from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bridge.device import (
    Device,
    DeviceSession,
    OutgoingMessage,
)
from bridge.errors import NotAnswered, OutboxFull
from tests.device.problems import wait_for_problem
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge, ignore_it, take_it
from tests.support.mosquitto import Mosquitto, free_port


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
        wait_for_problem(lamp, f"broker 127.0.0.1:{port} cannot be reached")
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
        wait_for_problem(lamp, "refuses the connection: Not authorized")
        lamp.close(timeout_s=0)


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
        wait_for_problem(lamp, "does a bridge run on it?")
        lamp.close(timeout_s=0)
    assert "refuses a publish: Not authorized: check its access control list" in caplog.text


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
