"""Many readers of the WebSocket: how long a change takes to reach them, and whether all do.

Devices report over MQTT at a steady rate, each reader reads along with one of them, and every
report holds the time at which it was sent. The bridge runs in a process of its own, the devices and
the readers share this one: what they cost counts as latency, too. Beside them, one subscriber reads
the retained states from the broker: by it one can tell what is the machine's.

    python -m benchmarks.stream_readers
    python -m benchmarks.stream_readers --readers 200 --rate 100 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import orjson

from benchmarks.arguments import bounded
from benchmarks.client import Client, open_client
from benchmarks.load import TICK_S, Pace
from benchmarks.memory import resident_mib
from benchmarks.memory import sample as sample_memory
from benchmarks.packets import Publish
from benchmarks.processes import ChildProcess, bridge_process, cpu_seconds
from benchmarks.report import Report
from benchmarks.scrape import broker_settings
from benchmarks.spread import spread_ms
from benchmarks.websocket_reader import WebSocketReader, open_reader
from tests.support.mosquitto import Mosquitto, free_port

PREFIX: Final = "sync"

P99_MS: Final = 100.0
"""Within so much time 99 of 100 changes are to have arrived: a target."""

GROWTH_MIB: Final = 64
"""What the bridge may take more at the end than once all readers were there: past changes are kept
for who comes back (http.replay_bytes, 16 MiB), and the history is written."""

OPENING: Final = 50
"""Readers that connect at the same time."""

SETTLE_S: Final = 60.0
"""How long is waited for the last changes."""


class Plan(NamedTuple):
    """How much."""

    readers: int = 1000
    devices: int = 100
    rate_per_s: float = 500.0
    seconds: float = 20.0


class Reader:
    """One reader of one device, and what it has seen.

    Attributes:
        number: Of the newest report that it has seen.
        versions: All versions that it was told of, in order.
        present: It was told what there was when it came.
    """

    def __init__(self, device: str, latencies_s: list[float]) -> None:
        self.device = device
        self._latencies_s = latencies_s
        self.socket: WebSocketReader | None = None
        self.number = 0
        self.versions: list[int] = []
        self.is_live = asyncio.Event()

    def take(self, text: bytes) -> None:
        """Take a message."""
        now = time.perf_counter()
        message = orjson.loads(text)
        if message["type"] == "live":
            self.is_live.set()
        elif message["type"] == "change":
            reported = message["reported"]
            self._latencies_s.append(now - reported["sent_s"])
            self.number = reported["number"]
            self.versions.append(message["version"])


class Course(NamedTuple):
    """What happened.

    Attributes:
        sent: Device -> number of its last report.
        rate_per_s: Reports in a second that came about.
        latencies_s: From each report to each of its readers.
        mqtt_s: From each report to the subscriber of its state.
        readers: All of them.
        resident_mib: Of the bridge, from when all readers were there.
        cores: What it used of the processor.
    """

    sent: dict[str, int]
    rate_per_s: float
    latencies_s: list[float]
    mqtt_s: list[float]
    readers: list[Reader]
    resident_mib: list[float]
    cores: float


async def run(plan: Plan, directory: Path) -> Course:
    """Run the load, and return what happened."""
    port = free_port()
    settings = {
        "SYNCBRIDGE_HTTP_LISTEN": f"127.0.0.1:{port}",
        "SYNCBRIDGE_HTTP_CONNECTIONS": str(plan.readers + 100),
    }
    with Mosquitto(directory / "broker", extra=broker_settings()) as broker:
        process = bridge_process(broker.port, PREFIX, directory / "bridge", environment=settings)
        async with process:
            client = await open_client(broker.port, "devices")
            await process.while_running(wait_for(port))
            course = await process.while_running(_follow(plan, process, client, port, broker.port))
            await client.close()
            return course


async def _follow(
    plan: Plan, process: ChildProcess, client: Client, port: int, broker_port: int
) -> Course:
    devices = [f"device-{index}" for index in range(plan.devices)]
    latencies_s: list[float] = []
    readers = [Reader(devices[index % len(devices)], latencies_s) for index in range(plan.readers)]
    opening = asyncio.Semaphore(OPENING)
    await asyncio.gather(*(_open(reader, port, opening) for reader in readers))
    mqtt_s: list[float] = []
    subscriber = await _subscribe(broker_port, mqtt_s)
    memory = [resident_mib(process.pid)[0]]
    sampling = asyncio.create_task(sample_memory(process.pid, memory))
    sent = dict.fromkeys(devices, 0)
    began, used_s = time.perf_counter(), cpu_seconds(process.pid)
    try:
        rate_per_s = await _report(plan, client, sent)
        await _wait_for_all(readers, sent)
        cores = (cpu_seconds(process.pid) - used_s) / (time.perf_counter() - began)
    finally:
        sampling.cancel()
        await subscriber.close()
        for reader in readers:
            if reader.socket is not None and reader.socket.closed is None:
                reader.socket.close()
    return Course(sent, rate_per_s, latencies_s, mqtt_s, readers, memory, cores)


async def _subscribe(port: int, latencies_s: list[float]) -> Client:
    def take(publish: Publish) -> None:
        now = time.perf_counter()
        latencies_s.append(now - orjson.loads(publish.payload)["reported"]["sent_s"])

    subscriber = await open_client(port, "subscriber", on_publish=take)
    await subscriber.subscribe([f"{PREFIX}/+/state"], 1)
    return subscriber


async def _open(reader: Reader, port: int, opening: asyncio.Semaphore) -> None:
    async with opening:
        path = f"/v1/stream?device={reader.device}"
        reader.socket = await open_reader(port, path, reader.take)
        await reader.is_live.wait()


async def _report(plan: Plan, client: Client, sent: dict[str, int]) -> float:
    devices = list(sent)
    pace = Pace(plan.rate_per_s)
    began = time.perf_counter()
    count = 0
    while time.perf_counter() < began + plan.seconds:
        for _ in range(pace.due()):
            device = devices[count % len(devices)]
            count += 1
            sent[device] += 1
            report = {"number": sent[device], "sent_s": time.perf_counter()}
            client.publish(f"{PREFIX}/{device}/report", orjson.dumps(report))
        await asyncio.sleep(TICK_S)
    await client.all_acknowledged()
    return count / (time.perf_counter() - began)


async def _wait_for_all(readers: Sequence[Reader], sent: dict[str, int]) -> None:
    end = time.monotonic() + SETTLE_S
    while any(reader.number < sent[reader.device] for reader in readers):
        if time.monotonic() > end:
            return
        await asyncio.sleep(TICK_S)


async def wait_for(port: int) -> None:
    """Wait until somebody listens on a port."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


def judge(course: Course, report: Report) -> None:
    """Check that nothing was lost, and say what it took."""
    of_device: dict[str, list[int]] = {}
    for reader in course.readers:
        versions = reader.versions
        name = f"a reader of {reader.device}"
        if reader.number < course.sent[reader.device]:
            last = course.sent[reader.device]
            report.violations.append(f"{name} ends with report {reader.number}, not {last}")
        if any(later <= earlier for earlier, later in pairwise(versions)):
            report.violations.append(f"{name} was told of a version twice, or of an older one")
        if of_device.setdefault(reader.device, versions) != versions:
            report.violations.append(f"{name} was told of other versions than another one")
        if reader.socket is None or reader.socket.closed != "by its owner":
            report.violations.append(f"{name} was closed")
    memory = course.resident_mib
    report.add("readers", len(course.readers))
    report.add("reports", sum(course.sent.values()))
    report.add("reports/s", round(course.rate_per_s))
    report.add("changes read", len(course.latencies_s))
    report.add("latency (ms)", f"{spread_ms(course.latencies_s)}; aim: p99 {P99_MS:g}")
    report.add("latency of MQTT (ms)", spread_ms(course.mqtt_s))
    report.add("cores of the bridge", round(course.cores, 2))
    report.add("memory at first (MiB)", round(memory[0]))
    report.add("memory at last (MiB)", round(median(memory[-4:])))
    if median(memory[-4:]) > memory[0] + GROWTH_MIB:
        report.violations.append(f"the bridge's memory grew by more than {GROWTH_MIB} MiB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; returns 1 where something was lost."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stream_readers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Plan()
    parser.add_argument("--readers", type=bounded(1, 50_000), default=default.readers)
    parser.add_argument("--devices", type=bounded(1, 10_000), default=default.devices)
    parser.add_argument("--rate", type=bounded(1, 100_000), default=round(default.rate_per_s))
    parser.add_argument("--seconds", type=bounded(1, 3600), default=round(default.seconds))
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args(arguments)
    plan = Plan(options.readers, options.devices, options.rate, options.seconds)
    report = Report()
    with tempfile.TemporaryDirectory() as directory:
        judge(asyncio.run(run(plan, Path(directory))), report)
    return report.conclude(options.json)


if __name__ == "__main__":
    sys.exit(main())
