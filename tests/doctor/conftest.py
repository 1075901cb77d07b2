"""Brokers to examine, and how to examine them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.broker import USERNAME, EmbeddedBroker
from bridge.cli.transport import Transport
from bridge.config_models import EmbeddedConfig
from bridge.doctor import Bounds, Finding, Login, Target, examine
from tests.docs.documented import PASSWORD, DocumentedMosquitto
from tests.doctor.prompt import expect_mosquitto
from tests.support.mosquitto import Mosquitto, free_port

FEW = Bounds(messages=300, duration_s=300)
"""Fewer messages than by default, and time enough for a busy machine."""

MORE_THAN_A_QUEUE = Bounds(messages=1500, duration_s=300)
"""More than Mosquitto keeps by default."""

Examine = Callable[..., dict[str, Finding]]


class DefaultMosquitto(Mosquitto):
    """A Mosquitto with nothing set but its port."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        # Else it could not be started by root.
        text = f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
        (directory / "mosquitto.conf").write_text(text)


@pytest.fixture(autouse=True)
def prompt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no longer than Mosquitto needs, where it is what is examined."""
    if "embedded_port" not in request.fixturenames:
        expect_mosquitto(monkeypatch)


@pytest.fixture
def default_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto as it is without a configuration, on a port of its own."""
    with DefaultMosquitto(tmp_path / "default") as broker:
        yield broker


@pytest.fixture
def hardened_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto as the operations document has it."""
    with DocumentedMosquitto(tmp_path / "hardened") as broker:
        yield broker


@pytest.fixture
def embedded_port(tmp_path: Path) -> Iterator[int]:
    """The port of the embedded broker."""
    port = free_port()
    started, stopping = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with EmbeddedBroker(EmbeddedConfig(port=port), tmp_path / "data"):
            started.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(60)
        yield port
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()


def target(port: int, login: Login = Login(), device: Login | None = None) -> Target:  # noqa: B008
    """Return a broker on this machine."""
    return Target("127.0.0.1", port, Transport(), login, device, "sync", 262_144, 20.0)


def findings(examined: Target, bounds: Bounds = FEW) -> dict[str, Finding]:
    """Examine a broker, and return what was found by the name of the check."""
    report = examine(examined, bounds, now_us=0)
    found = {finding.check: finding for finding in report.findings}
    assert len(found) == len(report.findings)
    return found


EXAMINER = Login("doctor", PASSWORD)
DEVICE = Login("lamp-1", PASSWORD)
EMBEDDED = Login(USERNAME)
