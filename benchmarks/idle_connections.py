"""Thousands of connections to the HTTP API on which nothing is asked.

As many as `http.connections` allows are taken, further ones are told that there are too many, and
who is in is served meanwhile, as are devices over MQTT. A connection costs a file here and one in
the bridge: the limit on open files is raised as far as the system allows, and where that is not
enough, there are fewer connections.

    python -m benchmarks.idle_connections
    python -m benchmarks.idle_connections --connections 500
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.arguments import bounded
from benchmarks.bearing import await_bridge
from benchmarks.fleet import PREFIX
from benchmarks.memory import resident_mib
from benchmarks.processes import ChildProcess, bridge_process
from benchmarks.report import Report
from benchmarks.scrape import broker_settings
from benchmarks.spread import spread_ms
from benchmarks.stream_readers import wait_for
from benchmarks.witnesses import Witnesses
from tests.support.mosquitto import Mosquitto, free_port

BEYOND: Final = 200
"""Connections that are too many."""

OPENING: Final = 100
"""Connections that are opened at the same time."""

FILES_BESIDE: Final = 300
"""Files that a process needs for everything else, and room for a limit that is met."""

REQUEST: Final = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

INTERVAL_S: Final = 0.1
"""How often the one that works asks."""

WITNESS_INTERVAL_S: Final = 3600.0
"""Devices report when they are told to."""


class Idle(asyncio.Protocol):
    """A connection on which nothing is asked.

    Attributes:
        received: What the bridge says all the same.
        lost: Done when it has ended.
    """

    def __init__(self) -> None:
        self.received = b""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Note what is said."""
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note the end."""
        if not self.lost.done():
            self.lost.set_result(None)


class Course(NamedTuple):
    """What happened.

    Attributes:
        wanted: Connections that there should be.
        open: Those that were there at the same time.
        told: Those beyond that were told so.
        opening_s: How long it took.
        served_s: How long each request of the one that works took.
        kib_each: Memory of the bridge for each connection.
        answered_s: How long devices waited over MQTT, when all were there.
    """

    wanted: int
    open: int
    told: int
    opening_s: float
    served_s: list[float]
    kib_each: float
    answered_s: float


async def run(connections: int, directory: Path) -> Course:
    """Open the connections, and look at what becomes of them and of others."""
    port = free_port()
    settings = {
        "SYNCBRIDGE_HTTP_LISTEN": f"127.0.0.1:{port}",
        "SYNCBRIDGE_HTTP_CONNECTIONS": str(connections + 1),
    }
    with Mosquitto(directory / "broker", extra=broker_settings()) as broker:
        process = bridge_process(broker.port, PREFIX, directory / "bridge", environment=settings)
        async with process:
            witnesses = await await_bridge(process, broker.port, 2, WITNESS_INTERVAL_S)
            await process.while_running(wait_for(port))
            course = await process.while_running(_follow(connections, port, process, witnesses))
            await witnesses.close()
            return course


async def _follow(
    connections: int, port: int, process: ChildProcess, witnesses: Witnesses
) -> Course:
    served_s: list[float] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ending = asyncio.Event()
    working = asyncio.create_task(_work(reader, writer, served_s, ending))
    before = resident_mib(process.pid)[0]
    began = time.perf_counter()
    within = await _open(connections, port)
    opening_s = time.perf_counter() - began
    count = sum(not idle.lost.done() for idle in within)
    kib_each = 1024 * (resident_mib(process.pid)[0] - before) / connections
    beyond = await _open(BEYOND, port)
    await asyncio.wait([idle.lost for idle in beyond], timeout=10)
    told = sum(idle.received.startswith(b"HTTP/1.1 503 ") for idle in beyond)
    began = time.perf_counter()
    await witnesses.fence()
    answered_s = time.perf_counter() - began
    ending.set()
    await working
    served_s.append(await _ask(reader, writer))
    writer.close()
    for idle in (*within, *beyond):
        if isinstance(idle.transport, asyncio.Transport):
            idle.transport.abort()
    return Course(connections, count, told, opening_s, served_s, kib_each, answered_s)


async def _open(count: int, port: int) -> list[Idle]:
    loop = asyncio.get_running_loop()
    opening = asyncio.Semaphore(OPENING)

    async def open_one() -> Idle:
        async with opening:
            _, idle = await loop.create_connection(Idle, "127.0.0.1", port)
            return idle

    return await asyncio.gather(*(open_one() for _ in range(count)))


async def _work(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    served_s: list[float],
    ending: asyncio.Event,
) -> None:
    while not ending.is_set():
        served_s.append(await _ask(reader, writer))
        await asyncio.sleep(INTERVAL_S)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    """Return how long the answer takes, in s."""
    began = time.perf_counter()
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"an answer is {head.decode()!r}")
    lines = head.lower().split(b"\r\n")
    (length,) = (int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return time.perf_counter() - began


def judge(course: Course, report: Report) -> None:
    """Check that all had their place, and nobody else; say what it took."""
    report.add("connections", course.open)
    report.add("opened in (s)", round(course.opening_s, 1))
    report.add("told too many", f"{course.told} of {BEYOND}")
    report.add("memory each (KiB)", round(course.kib_each, 1))
    report.add("served meanwhile (ms)", spread_ms(course.served_s))
    report.add("MQTT answered in (ms)", round(1000 * course.answered_s, 1))
    if course.open < course.wanted:
        report.violations.append(f"only {course.open} of {course.wanted} had a place")
    if course.told < BEYOND:
        report.violations.append(f"{BEYOND - course.told} beyond the limit were not told so")


def room(wanted: int) -> int:
    """Raise the limit on open files; returns for how many connections there is room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = wanted + BEYOND + FILES_BESIDE
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    return min(wanted, hard - BEYOND - FILES_BESIDE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; returns 1 where somebody was kept out who should not have been."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.idle_connections",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connections", type=bounded(1, 100_000), default=10_000)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args(arguments)
    connections = room(options.connections)
    report = Report()
    with tempfile.TemporaryDirectory() as directory:
        judge(asyncio.run(run(connections, Path(directory))), report)
    return report.conclude(options.json)


if __name__ == "__main__":
    sys.exit(main())
