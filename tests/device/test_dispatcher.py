from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from bridge.device import dispatcher as dispatcher_module
from bridge.device.dispatcher import Dispatcher
from tests.device.scripted_bridge import PATIENCE_S


@pytest.fixture
def busy() -> Iterator[tuple[Dispatcher, threading.Event]]:
    """A dispatcher whose thread is held until the event is set."""
    dispatcher, release, held = Dispatcher("handlers"), threading.Event(), threading.Event()
    dispatcher.start()

    def hold() -> None:
        held.set()
        release.wait(PATIENCE_S)

    dispatcher.submit("hold", hold)
    assert held.wait(PATIENCE_S)
    yield dispatcher, release
    release.set()
    dispatcher.stop()


def _done(dispatcher: Dispatcher, calls: queue.Queue[str]) -> list[str]:
    """Wait for all that was submitted."""
    end = threading.Event()
    dispatcher.submit("end", end.set)
    assert end.wait(PATIENCE_S)
    return list(calls.queue)


def test_the_newest_call_of_a_key_is_made_once(busy: tuple[Dispatcher, threading.Event]) -> None:
    """A handler that is slow sees the newest, not all that it missed; others keep their order."""
    dispatcher, release = busy
    calls: queue.Queue[str] = queue.Queue()
    for key, name in [("a", "a1"), ("b", "b1"), ("c", "c1"), ("a", "a2")]:
        dispatcher.submit(key, partial(calls.put, name))
    dispatcher.withdraw("c")
    dispatcher.withdraw("never there")
    release.set()
    assert _done(dispatcher, calls) == ["b1", "a2"]


def test_what_waits_is_bounded(
    busy: tuple[Dispatcher, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The oldest goes, and the log names what and why."""
    monkeypatch.setattr(dispatcher_module, "WAITING_MAX", 3)
    dispatcher, release = busy
    calls: queue.Queue[str] = queue.Queue()
    for number in range(4):
        dispatcher.submit(number, partial(calls.put, str(number)))
    assert "more than 3 calls of handlers wait; dropped 0" in caplog.text
    release.set()
    assert [calls.get(timeout=PATIENCE_S) for _ in range(3)] == ["1", "2", "3"]


def test_a_handler_that_does_not_end_is_left_alone(
    busy: tuple[Dispatcher, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Stopping waits a while, says so, and goes on; what waited is not called."""
    monkeypatch.setattr(dispatcher_module, "STOP_TIMEOUT_S", 0.01)
    dispatcher, release = busy
    calls: queue.Queue[str] = queue.Queue()
    dispatcher.submit("late", lambda: calls.put("late"))
    dispatcher.stop()
    assert "a handler still runs after 0.01 s" in caplog.text
    release.set()
    dispatcher.stop()
    assert calls.empty()


def test_a_handler_may_stop_its_own_thread() -> None:
    """As one does that closes the device."""
    dispatcher, stopped = Dispatcher("handlers"), threading.Event()
    dispatcher.start()

    def stop() -> None:
        dispatcher.stop()
        stopped.set()

    dispatcher.submit("stop", stop)
    assert stopped.wait(PATIENCE_S)
    dispatcher.stop()


def test_a_dispatcher_that_never_started_can_be_stopped() -> None:
    """A device may be closed before it was started."""
    Dispatcher("handlers").stop()
