"""What the log of a real bridge does not hold, whatever it is sent and however it is configured."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bridge.cli import ExitStatus
from bridge.cli.mqtt import BrokerClient
from bridge.config import Address
from bridge.wire.wrappers import SEALED
from tests.cli.conftest import Run
from tests.cli.program import Program
from tests.support.mosquitto import Mosquitto, free_port

WAIT_S = 60.0

MARK = "s3cr3t"
"""Stands in every payload, key, password and token of these tests."""

DIGITS = "987654321987654321987"
"""The same for a number, which is too large."""

TURNED = "\u202eevil\u2066"
"""Text that turns what follows around."""

CONFIGURATION = """\
log: {{level: debug, format: {style}}}
http: {{listen: "127.0.0.1:{port}"}}
permissions: {{file: permissions.yaml}}
policies:
  "*": {{desired.locked: refuse}}
"""
PERMISSIONS = """\
principals: [anna, bert]
rules:
  anna:
    "*":
      desired.**: read write
      reported.**: read write
"""

REFUSED: dict[str, bytes] = {
    "sync/a1/report": b'{"x": "' + MARK.encode() + b'", ',
    "sync/a2/report": b'["' + MARK.encode() + b'"]',
    "sync/a3/report": json.dumps({"$" + MARK: 1}).encode(),
    "sync/a4/report": b'{"%b": 1, "%b": 2}' % (MARK.encode(), MARK.encode()),
    "sync/a5/report": b'{"x": ' + DIGITS.encode() + b"}",
    "sync/a6/report": json.dumps({"$": {MARK: 1}}).encode(),
    "sync/a7/report": json.dumps({"x": {MARK * 200: MARK}}).encode(),
    "sync/a8/report": b"\xff" + MARK.encode(),
    "sync/a9/report": msgpack.packb(msgpack.ExtType(SEALED, MARK.encode())),
    "sync/b1/report": msgpack.packb(msgpack.ExtType(1, MARK.encode())),
    "sync/b2/report": msgpack.packb({MARK: float("nan")}),
    "sync/b3/desire/bert": json.dumps({MARK: MARK}).encode(),
    "sync/b4/desire/anna": json.dumps({"x": 1, "$": {"if": 9, "boot": MARK, "seq": 1}}).encode(),
    "sync/b5/presence": json.dumps({"boot": MARK}).encode(),
    "sync/b6/delete/bert": MARK.encode(),
    f"sync/{TURNED}/report": MARK.encode(),
    f"sync/b7/desire/{TURNED}": MARK.encode(),
    f"sync/b8/{TURNED}/report": MARK.encode(),
}
"""Nobody asks for an answer: each is logged, and kept."""

NOT_KEPT = {"sync/b5/presence"}
"""What is taken for something else, and not refused."""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose path leaves room for a socket."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        yield Path(directory)


def provoke_over_mqtt(broker: Mosquitto) -> None:
    """Send all that is refused, under a client id that turns text around."""
    address = Address(broker.host, broker.port)
    with BrokerClient(address, username="bridge", password=MARK) as client:
        client.publish("sync/c1/desire/anna", json.dumps({"locked": MARK}).encode())
        client.publish("sync/c1/desire/carl", json.dumps({"locked": 1}).encode())
        for topic, payload in REFUSED.items():
            client.publish(topic, payload)


def provoke_over_http(port: int, token: str) -> None:
    """Send tokens and bodies that are wrong, and paths with control characters."""
    url = f"http://127.0.0.1:{port}"
    good = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, trust_env=False, timeout=WAIT_S) as client:
        for value in (f"Bearer {MARK}", f"Bearer sbt_0123456789ab_{MARK}", f"Basic {MARK}"):
            answer = client.get("/v1/twins", headers={"Authorization": value})
            assert answer.status_code == 401
        asked = client.get(f"/v1/twins?access_token={MARK}")
        assert asked.status_code == 400
        assert MARK not in asked.text
        for path in ("/v1/twins/%1b%5b2J%e2%80%ae", "/v1/twins/x/%e2%80%ae/desired"):
            assert client.get(path, headers=good).status_code in (400, 404)
        for body in (f'{{"x": "{MARK}"', f'["{MARK}"]', f'{{"{MARK}": {DIGITS}}}'):
            answer = client.patch("/v1/twins/d1/desired", content=body, headers=good)
            assert answer.status_code == 400
        assert client.get("/v1/twins", headers=good).status_code == 200
    for name in (f"syncbridge.bearer.{MARK}", f"syncbridge.bearer.{token}x"):
        try:
            with connect(
                f"ws://127.0.0.1:{port}/v1/stream", subprotocols=["syncbridge.v1", name], proxy=None
            ) as socket:
                for _ in socket:
                    pass
        except (ConnectionClosed, InvalidStatus):
            continue


@pytest.mark.parametrize("style", ["text", "json"])
def test_neither_payloads_nor_tokens_nor_passwords_are_logged(
    directory: Path, run: Run, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the level debug, in both formats; and nothing turns around what is shown."""
    monkeypatch.chdir(directory)
    port = free_port()
    (directory / "bridge.yaml").write_text(CONFIGURATION.format(style=style, port=port))
    (directory / "permissions.yaml").write_text(PERMISSIONS)
    (directory / "password").write_text(MARK)
    (directory / "password").chmod(0o600)
    with Mosquitto(directory / "mosquitto", users={"bridge": MARK}) as broker:
        broker_options = ["--broker", f"mqtt://{broker.host}:{broker.port}", "--username", "bridge"]
        options = [*broker_options, "--password-file", "password", "--store", "store.db"]
        with Program("run", *options, directory=directory) as bridge:
            _wait_for(lambda: _answers(port), "HTTP is answered")
            token = run("tokens", "create", "anna", "--store", "store.db").out.strip()
            provoke_over_mqtt(broker)
            provoke_over_http(port, token)
            expected = (REFUSED.keys() - NOT_KEPT) | {"sync/c1/desire/carl"}
            _wait_for(lambda: expected <= _quarantined(run), "all is refused")
            (directory / "permissions.yaml").write_text(f"principals: [{TURNED}]\n", "utf-8")
            assert run("permissions", "reload", "--store", "store.db").status != ExitStatus.OK
            bridge.interrupt()
            assert bridge.wait() == ExitStatus.OK
        log = bridge.errors()
    assert log.count("refused, and kept in the quarantine") >= len(expected)
    assert "the permissions are not reloaded" in log
    for secret in (MARK, DIGITS, token, token.split("_", 2)[-1]):
        assert secret not in log, secret
    assert all(c.isprintable() or c == "\n" for c in log)
    assert "\\u202eevil" in log
    if style == "json":
        assert all(isinstance(json.loads(line), dict) for line in log.splitlines())


def _wait_for(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _quarantined(run: Run) -> set[str]:
    out = run("quarantine", "--json", "--limit", "1000", "--store", "store.db").out
    return {json.loads(line)["topic"] for line in out.splitlines()}


KEY = f"-----BEGIN PRIVATE KEY-----\n{MARK}{MARK}\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("configuration", "mode"),
    [
        ("http: {listen: '127.0.0.1:0', certificate_file: key.pem, key_file: key.pem}", 0o600),
        ("http: {listen: '127.0.0.1:0', certificate_file: key.pem, key_file: key.pem}", 0o644),
        (
            "broker: {certificate_file: key.pem, key_file: key.pem, url: 'mqtts://127.0.0.1:1'}",
            0o600,
        ),
        ("broker: {password_file: key.pem, username: a, url: 'mqtt://127.0.0.1:1'}", 0o644),
        (f"broker: {{password: {MARK}}}", 0o600),
        (f"broker: {{url: 'mqtt://user:{MARK}@127.0.0.1:1'}}", 0o600),
        ("permissions: {file: key.pem}", 0o600),
    ],
)
def test_what_a_broken_key_file_holds_is_not_shown(
    mosquitto: Mosquitto, directory: Path, configuration: str, mode: int
) -> None:
    """Neither by the log nor by the error that ends the program."""
    key = directory / "key.pem"
    key.write_text(KEY)
    key.chmod(mode)
    settings = f"log: {{level: debug}}\n{configuration}\n"
    if "broker:" not in configuration:
        settings += f"broker: {{url: 'mqtt://{mosquitto.host}:{mosquitto.port}'}}\n"
    (directory / "bridge.yaml").write_text(settings)
    with Program("run", "--store", "store.db", directory=directory) as program:
        assert program.wait() != ExitStatus.OK
    assert program.errors().strip()
    assert MARK not in program.errors()
