"""How many connections there may be, and what happens to those that are too many."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.http.file_limit import CONNECTIONS_MIN, RESERVED_FILES, fit
from tests.http.served import http_config, serving
from tests.support.mosquitto import Mosquitto

LIMIT = 50

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_idle_connections_keep_nobody_out_who_is_in(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Six times the limit: those beyond it are told so, those within it are served."""
    config = http_config(mosquitto, tmp_path, http={"connections": LIMIT})
    with serving(config) as served, ExitStack() as stack:

        def connect() -> socket.socket:
            made = socket.create_connection(("127.0.0.1", served.port), 30)
            return stack.enter_context(made)

        within = [connect() for _ in range(LIMIT)]
        beyond = [connect() for _ in range(5 * LIMIT)]
        for connection in beyond:
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"there are too many connections" in answer
            assert connection.recv(1) == b""
        for connection in within:
            connection.sendall(REQUEST)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        for connection in within[:10]:
            connection.close()
        # Their places are free as soon as the bridge has noticed.
        answer = b""
        while not answer.startswith(b"HTTP/1.1 200"):
            with socket.create_connection(("127.0.0.1", served.port), 30) as again:
                try:
                    again.sendall(REQUEST)
                    answer = again.recv(4096)
                except ConnectionError:
                    continue


@pytest.mark.parametrize(
    ("connections", "soft", "hard", "raised", "room"),
    [
        (2000, 1024, 4096, 2000 + RESERVED_FILES, 2000),
        (100, 1024, 4096, 1024, 100),
        (10_000, 1024, 4096, 4096, 4096 - RESERVED_FILES),
        (100, 64, 64, 64, CONNECTIONS_MIN),
    ],
)
def test_connections_leave_room_for_other_files(
    connections: int, soft: int, hard: int, raised: int, room: int
) -> None:
    """The limit is raised as far as the system allows, and never lowered."""
    assert fit(connections, soft, hard) == (raised, room)


def test_the_limit_of_the_process_is_raised() -> None:
    """From what systems begin with, which is less than the default of connections."""
    program = (
        "import resource\n"
        "from bridge.http.file_limit import make_room\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 1000))\n"
        "print(make_room(500), resource.getrlimit(resource.RLIMIT_NOFILE)[0], make_room(5000))\n"
    )
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1000:
        pytest.skip("fewer files are allowed here")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["500", "756", "744"]
    assert "allowed=744" in done.stderr
