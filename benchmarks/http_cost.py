"""Requests in a second that the HTTP API answers, beside FastAPI with handlers that do nothing.

Both run in processes of their own with the same HTTP parser, in turns, and the same client asks
both. A write counts once it is on the disk; the bare handler writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.arguments import bounded
from benchmarks.processes import ChildProcess

CLIENTS: Final = 32
"""Connections that ask at the same time, each for the next answer after the last."""

_BODY: Final = b'{"brightness":%d}'


class Case(NamedTuple):
    """One kind of request: its aim as a part of what the bare handler does."""

    name: str
    aim: float
    ours: bytes
    bare: bytes


def cases() -> list[Case]:
    """Return what is measured."""
    read = _request("GET", "/v1/twins/lamp-1")
    unchanged = _request("GET", "/v1/twins/lamp-1", 'If-None-Match: "1"')
    return [
        Case("GET of a twin", 0.7, read, read),
        Case("GET, unchanged: 304", 0.8, unchanged, _request("GET", "/unchanged")),
        Case("PATCH, durable", 0.5, b"", b""),
    ]


def _request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _patch(client: int, number: int) -> bytes:
    return _request("PATCH", f"/v1/twins/lamp-{client + 2}/desired", body=_BODY % number)


class Answers:
    """Counts answers, and holds each against the status that it must have."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds
        self.count = 0

    @property
    def go_on(self) -> bool:
        """There is time left."""
        return time.perf_counter() < self._end


async def ask(port: int, client: int, request: bytes, answers: Answers) -> None:
    """Ask over one connection until the time is over; without a request, write."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while answers.go_on:
        number += 1
        writer.write(request or _patch(client, number))
        head = await reader.readuntil(b"\r\n\r\n")
        status = head[9:12]
        if status not in (b"200", b"304"):
            raise RuntimeError(f"an answer is {head.decode()!r}")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        if length and status == b"200":
            await reader.readexactly(length)
        answers.count += 1
    writer.close()


async def rate(port: int, request: bytes, seconds: float) -> float:
    """Return answers in a second."""
    answers = Answers(seconds)
    began = time.perf_counter()
    await asyncio.gather(*(ask(port, client, request, answers) for client in range(CLIENTS)))
    return answers.count / (time.perf_counter() - began)


async def make_twin(port: int) -> None:
    """Make the twin that is read."""
    body = b'{"on":true,"brightness":50,"color":{"r":1,"g":2,"b":3}}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request("PUT", "/v1/twins/lamp-1/desired", body=body))
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _wait_for(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return


async def measure(
    rounds: int, seconds: float, broker: str | None
) -> list[tuple[Case, float, float]]:
    """Return, for each case, the best rate of the API and of the bare handlers."""
    ours, bare, mqtt = free_port(), free_port(), free_port()
    best = [(case, 0.0, 0.0) for case in cases()]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        options = ["run", "--store", str(path / "store.db"), "--embedded-port", str(mqtt)]
        if broker is not None:
            options = ["--broker", broker, *options]
        settings = {
            "SYNCBRIDGE_HTTP_LISTEN": f"127.0.0.1:{ours}",
            "SYNCBRIDGE_HTTP_REQUESTS_PER_MINUTE": "100000000",
        }
        async with (
            ChildProcess(["bridge", *options], path / "bridge", settings) as _,
            ChildProcess(["benchmarks.bare_http", str(bare)], path / "bare") as _,
        ):
            await asyncio.gather(_wait_for(ours), _wait_for(bare))
            await make_twin(ours)
            for _ in range(rounds):
                for index, (case, one, other) in enumerate(best):
                    one = max(one, await rate(ours, case.ours, seconds))
                    other = max(other, await rate(bare, case.bare, seconds))
                    best[index] = (case, one, other)
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http_cost", description=__doc__)
    parser.add_argument("--rounds", type=bounded(1, 100), default=3)
    parser.add_argument("--tenths", type=bounded(1, 600), default=20, help="of a second, each")
    parser.add_argument("--broker", help="URL; default: the embedded one, which takes its share")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.rounds, options.tenths / 10, options.broker))
    print(f"{'answers in a second':>22} {'API':>8} {'bare':>8} {'API/bare':>9} {'aim':>5}")
    for case, ours, bare in found:
        print(f"{case.name:>22} {ours:8.0f} {bare:8.0f} {ours / bare:9.2f} {case.aim:5.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
