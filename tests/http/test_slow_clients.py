"""Clients that take for ever, on purpose or not: to ask, to read, or to do either."""

from __future__ import annotations

import base64
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.http import connection, server
from tests.http.served import Served, http_config, serving
from tests.support.bridge import WAIT_S
from tests.support.mosquitto import Mosquitto

HEAD = b"%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture
def impatient(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A bridge that waits half a second where it else waits a minute."""
    for name in ("HEAD_S", "BODY_S"):
        monkeypatch.setattr(connection, name, 0.5)
    monkeypatch.setattr(server, "STALLED_S", 1)
    config = http_config(mosquitto, tmp_path, http={"stream_events": 5, "connections": 2})
    with serving(config) as served:
        yield served


def connect(served: Served, receive_bytes: int | None = None) -> socket.socket:
    """Connect as slowly as can be."""
    made = socket.socket()
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.settimeout(3 * WAIT_S)
    made.connect(("127.0.0.1", served.port))
    return made


def trickle(client: socket.socket, start: bytes, drop: bytes) -> bytes:
    """Send a drop at a time until the server has had enough; returns what it says."""
    client.sendall(start)
    end = time.monotonic() + 3 * WAIT_S
    while time.monotonic() < end:
        if select.select([client], [], [], 0.05)[0]:
            return read_to_the_end(client)
        client.sendall(drop)
    raise AssertionError("the server waits for ever")


def read_to_the_end(client: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        # It closes while something is still on its way to it.
        pass
    return found


def read_answer(client: socket.socket) -> bytes:
    """Return one whole answer, and leave nothing of it behind."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += client.recv(1)
    (length,) = re.findall(rb"content-length: (\d+)", found)
    while len(found.partition(b"\r\n\r\n")[2]) < int(length):
        found += client.recv(1)
    return found


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"G", b"E"),
        (HEAD % b"GET /healthz", b"X-A: b\r\n"),
        (HEAD % b"PATCH /v1/twins/slow/desired" + b'Content-Length: 9000\r\n\r\n{"a":', b" "),
        (
            HEAD % b"PATCH /v1/twins/slow/desired" + b"Transfer-Encoding: chunked\r\n\r\n",
            b"1\r\n \r\n",
        ),
    ],
)
def test_a_request_that_does_not_end_is_given_up(
    impatient: Served, start: bytes, drop: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """In its head or in its body, with a status; nothing of it takes effect, nor is logged."""
    with connect(impatient) as client:
        answer = trickle(client, start, drop)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"application/problem+json" in answer
    assert impatient.ask("GET", "/v1/twins/slow").status_code == 404
    assert "Traceback" not in capfd.readouterr().err


def test_a_body_that_nobody_waits_for_is_not_read_for_ever(impatient: Served) -> None:
    """The answer has come long before."""
    with connect(impatient) as client:
        start = HEAD % b"GET /v1/twins/nobody" + b"Content-Length: 9000\r\n\r\n"
        client.sendall(start)
        assert read_answer(client).startswith(b"HTTP/1.1 404")
        assert b"HTTP/1.1" not in trickle(client, b"", b" ")


def test_a_second_request_that_does_not_end_is_given_up(impatient: Served) -> None:
    """Also where its beginning came with the first one."""
    with connect(impatient) as client:
        client.sendall(HEAD % b"GET /healthz" + b"\r\nGE")
        assert read_answer(client).startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 408" in trickle(client, b"", b"T")


def ask_and_never_read(served: Served, client: socket.socket) -> None:
    """Ask for a large twin many times at once."""
    served.ask("PUT", "/v1/twins/large/desired", json={"x": "x" * 60_000})
    client.sendall((HEAD % b"GET /v1/twins/large" + b"\r\n") * 150)


def subscribe_and_never_read(served: Served, client: socket.socket) -> None:
    """Open a stream, and have much written to it."""
    key = base64.b64encode(b"x" * 16)
    client.sendall(
        HEAD % b"GET /v1/stream"
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + b"Sec-WebSocket-Key: %s\r\n\r\n" % key
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    for number in range(150):
        served.ask("PATCH", "/v1/twins/large/desired", json={"x": f"{number}" + "x" * 60_000})


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
@pytest.mark.parametrize("work", [ask_and_never_read, subscribe_and_never_read])
def test_a_client_that_never_reads_is_cut_off(
    impatient: Served, work: Callable[[Served, socket.socket], None]
) -> None:
    """It reads neither answers nor that it is closed; its place is free all the same."""
    with connect(impatient, receive_bytes=4096) as client:
        work(impatient, client)
        # The places are taken: by it, and by the one that works.
        answer = b""
        end = time.monotonic() + 3 * WAIT_S
        while not answer.startswith(b"HTTP/1.1 200"):
            assert time.monotonic() < end, answer
            with connect(impatient) as other:
                try:
                    other.sendall(HEAD % b"GET /healthz" + b"\r\n")
                    answer = other.recv(4096)
                except ConnectionError:
                    time.sleep(0.05)
