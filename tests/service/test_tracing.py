"""Spans, as a collector receives them."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bridge.config import TracingConfig
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto


class Collector:
    """A collector for OTLP over HTTP on loopback."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def spans(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.name == name
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    running = Collector()
    thread = threading.Thread(target=running.server.serve_forever)
    thread.start()
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


async def run(mosquitto: Mosquitto, directory: Path, tracing: TracingConfig) -> None:
    """Take three reports, one after the other, and stop."""
    async with (
        running_bridge(make_config(mosquitto, directory, tracing=tracing)),
        connected_client(mosquitto, "sync/lamp-1/reply/+", "sync/lamp-1/state") as client,
    ):
        for number in range(3):
            await client.publish("sync/lamp-1/report", {"n": number, "$": {"id": "r"}})
            await client.next("sync/lamp-1/reply/lamp-1")


async def test_a_batch_is_a_span_with_its_stages_inside(
    mosquitto: Mosquitto, tmp_path: Path, collector: Collector
) -> None:
    """In their order, one after the other, and within the batch."""
    await run(mosquitto, tmp_path, TracingConfig(endpoint=collector.endpoint, sample_ratio=1.0))
    batches = {span.span_id: span for span in collector.spans("batch")}
    commits = collector.spans("commit")
    assert len(commits) == 3
    for commit in commits:
        batch = batches[commit.parent_span_id]
        (size,) = (a.value.int_value for a in batch.attributes if a.key == "syncbridge.size")
        assert size >= 1  # The bridge's own status may be with it.
        inside = [
            span
            for name in ("decode", "reconcile", "encode", "commit", "offer", "send")
            for span in collector.spans(name)
            if span.parent_span_id == batch.span_id
        ]
        assert len(inside) == 6
        times = [t for s in inside for t in (s.start_time_unix_nano, s.end_time_unix_nano)]
        assert times == sorted(times)
        assert batch.start_time_unix_nano <= times[0]
        assert times[-1] <= batch.end_time_unix_nano
    assert collector.spans("publish")
    (resource,) = {
        r.resource.SerializeToString() for q in collector.requests for r in q.resource_spans
    }
    assert b"syncbridge" in resource


async def test_what_is_not_sampled_is_not_sent(
    mosquitto: Mosquitto, tmp_path: Path, collector: Collector
) -> None:
    """Neither the batch nor what is inside."""
    await run(mosquitto, tmp_path, TracingConfig(endpoint=collector.endpoint, sample_ratio=0.0))
    assert collector.requests == []


async def test_a_collector_that_is_away_stops_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Spans are lost then, and nothing else."""
    nobody = Collector()
    nobody.server.server_close()
    await run(mosquitto, tmp_path, TracingConfig(endpoint=nobody.endpoint, sample_ratio=1.0))


def test_nothing_is_imported_where_nobody_wants_traces(tmp_path: Path) -> None:
    """OpenTelemetry need not even be installed."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from bridge.config import BrokerConfig, Config, StoreConfig\n"
        "from bridge.service import Bridge\n"
        "async def main():\n"
        f"    store = StoreConfig(path=Path({str(tmp_path / 'store.db')!r}))\n"
        "    config = Config(broker=BrokerConfig(url='mqtt://127.0.0.1:1'), store=store)\n"
        "    async with Bridge(config):\n"
        "        print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
