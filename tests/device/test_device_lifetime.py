from __future__ import annotations

import gc
import os
import queue
import signal
import threading
from pathlib import Path

import orjson
import pytest

from bridge.device import (
    Device,
    JsonObject,
)
from bridge.errors import DeviceError, JournalError, NotAnswered
from tests.device.problems import wait_for_problem
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge
from tests.support.mosquitto import Mosquitto


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


def descriptors() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_closed_device_leaves_no_file_open(bridge: ScriptedBridge, mosquitto: Mosquitto) -> None:
    """Neither the connection nor what woke its thread, while the program still has the device."""
    lamp = Device("lamp-1", port=mosquitto.port)
    gc.collect()  # Else what others have left may be closed in between.
    before = descriptors()
    with lamp:
        lamp.report({"on": True}).wait(PATIENCE_S)
        assert descriptors() > before
    assert descriptors() == before
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


def test_closing_does_not_wait_for_a_broker_that_is_stuck(mosquitto: Mosquitto) -> None:
    """A connection that stands and is silent costs seconds, not the keepalive."""
    lamp = Device("lamp-1", port=mosquitto.port, keepalive_s=3600)
    lamp.start()
    wait_for_problem(lamp, "does a bridge run on it?")
    os.kill(mosquitto.pid, signal.SIGSTOP)
    try:
        lamp.close(timeout_s=0)
    finally:
        os.kill(mosquitto.pid, signal.SIGCONT)
