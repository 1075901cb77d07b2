from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import orjson
import pytest

from bridge.device import Device, connection
from bridge.device.connection import reconnect_delay_s
from bridge.errors import NotAnswered
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge, ignore_it, take_it
from tests.support.mosquitto import Mosquitto


def _seqs(reports: list[bytes]) -> list[int]:
    return [orjson.loads(report)["$"]["seq"] for report in reports]


def test_reports_outlive_a_broker_that_is_killed(tmp_path: Path) -> None:
    """What the broker had acknowledged and forgot comes again: same bytes, same order."""
    with Mosquitto(tmp_path / "mosquitto") as broker, ScriptedBridge(broker) as bridge:
        bridge.decide = ignore_it
        with Device("lamp-1", port=broker.port, retry_after_s=1) as lamp:
            for level in range(3):
                lamp.report({"level": level})
                bridge.wait_until(lambda: len(bridge.reports) > level)  # noqa: B023
            before = list(bridge.reports)
            broker.kill()
            bridge.decide = take_it
            bridge.reports.clear()
            for level in range(3, 6):
                lamp.report({"level": level})
            broker.start()
            lamp.flush(PATIENCE_S)
            assert lamp.connected
            bridge.wait_until(lambda: bridge.presences[-1] == bridge.presences[0])
        assert list(dict.fromkeys(bridge.reports))[:3] == before
        assert sorted(set(_seqs(bridge.reports))) == [1, 2, 3, 4]
        assert bridge.reported == {"lamp-1": {"level": 5}}


def test_a_delta_set_while_the_device_was_away_comes_with_the_connection(tmp_path: Path) -> None:
    """And one that it has seen already does not come again."""
    with Mosquitto(tmp_path / "mosquitto", persistence=True) as broker:
        with ScriptedBridge(broker) as bridge:
            bridge.want("lamp-1", 1, on=True)
        with Device("lamp-1", port=broker.port) as lamp:
            seen: list[object] = []
            arrived = threading.Semaphore(0)

            @lamp.on_delta
            def note(wanted: object) -> None:
                seen.append(wanted)
                arrived.release()

            assert arrived.acquire(timeout=PATIENCE_S)
            broker.stop()
            broker.start()
            with ScriptedBridge(broker) as bridge:
                lamp.report({}).wait(PATIENCE_S)
                bridge.want("lamp-1", 2, on=False)
            assert arrived.acquire(timeout=PATIENCE_S)
        assert seen == [{"on": True}, {"on": False}]


def test_a_broker_that_says_nothing_does_not_hold_up_the_end() -> None:
    """A port that accepts and is silent: calls return, and so does closing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with Device("lamp-1", port=silent.getsockname()[1]) as lamp:
            lamp.report({"on": True})
            silent.accept()[0].close()
            lamp.close(timeout_s=0.1)
        assert not lamp.connected


def test_nothing_is_sent_twice_on_one_connection(tmp_path: Path) -> None:
    """The session repeats what a lost connection had; paho, which would as well, must not."""
    broker = Mosquitto(tmp_path / "mosquitto", persistence=True)
    with broker, ScriptedBridge(broker) as bridge:
        with Device("lamp-1", port=broker.port, retry_after_s=60) as lamp:
            lamp.report({"level": 0}).wait(PATIENCE_S)
            os.kill(broker.pid, signal.SIGSTOP)
            lamp.report({"level": 1})
            with pytest.raises(NotAnswered):
                lamp.get(timeout_s=0.2)
            broker.kill()
            broker.start()
            lamp.flush(PATIENCE_S)
        assert _seqs(bridge.reports).count(2) == 1


def test_attempts_go_on_and_their_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is away is tried at the times that this library has chosen, not paho."""
    monkeypatch.setattr(connection, "BACKOFF_MIN_S", 0.01)
    monkeypatch.setattr(connection, "BACKOFF_MAX_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as unfriendly:
        unfriendly.settimeout(PATIENCE_S)
        with Device("lamp-1", port=unfriendly.getsockname()[1]):
            for _ in range(10):
                unfriendly.accept()[0].close()


def test_the_wait_doubles_up_to_a_minute_and_has_jitter() -> None:
    """A fleet that lost its broker does not come back all at once."""
    assert [reconnect_delay_s(attempts, 0.0) for attempts in (0, 1, 2, 5, 6, 9999)] == [
        *(1, 2, 4, 32, 60, 60)
    ]
    assert reconnect_delay_s(3, 1.0) == 4
    assert reconnect_delay_s(9999, 0.5) == 45
