"""Hosts, origins, rates, connections, certificates: what is looked at before a request is."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import requests
from pydantic import ValidationError

from bridge.config import HttpConfig
from bridge.errors import ConfigError
from bridge.http.server import _listen
from tests.http.served import Served, http_config, serving
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto


def test_another_host_is_not_served(served: Served) -> None:
    """A page that had its name led to this machine gets nothing."""
    answer = served.ask("GET", "/v1/twins", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert served.ask("GET", "/v1/twins", headers={"Host": "localhost:1"}).status_code == 200


def test_a_page_of_another_origin_writes_nothing(served: Served) -> None:
    """Not even with what browsers send without asking."""
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    answer = served.ask("POST", "/v1/twins/csrf/desired", data="{}", headers=headers)
    assert answer.status_code == 403
    assert served.ask("GET", "/v1/twins/csrf").status_code == 404


def test_requests_beyond_the_rate_are_told_when_to_come_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """429 with Retry-After; before that, the rest is counted down."""
    config = http_config(mosquitto, tmp_path, http={"requests_per_minute": 2})
    with serving(config) as served:
        rest = [served.ask("GET", "/healthz").headers["ratelimit-remaining"] for _ in range(2)]
        assert rest == ["1", "0"]
        answer = served.ask("GET", "/healthz")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert answer.json()["status"] == 429


def test_https_is_spoken_with_a_certificate(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """And a client that trusts the authority reads."""
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("server", "127.0.0.1")
    http = {"certificate_file": pair.certificate, "key_file": pair.key}
    close = {"Connection": "close"}
    with serving(http_config(mosquitto, tmp_path, http=http), "https") as served:
        answer = requests.get(
            f"{served.url}/healthz", verify=str(authority.file), timeout=10, headers=close
        )
        assert answer.json()["status"] == "ok"


def test_a_key_that_others_may_use_is_refused(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With the setting, and the command that mends it."""
    pair = Authority(tmp_path / "certificates").issue("server", "127.0.0.1")
    pair.key.chmod(0o644)
    http = {"certificate_file": pair.certificate, "key_file": pair.key}
    config = http_config(mosquitto, tmp_path, http=http)
    with pytest.raises(ConfigError, match=r"http\.key_file.*0644"), serving(config, "https"):
        pass


def test_only_the_named_proxy_may_connect(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Whoever goes round it is refused."""
    with serving(http_config(mosquitto, tmp_path, http={"proxy": "192.0.2.1"})) as served:
        forged = {"X-Forwarded-For": "192.0.2.1"}
        assert served.ask("GET", "/v1/twins", headers=forged).status_code == 403


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "192.0.2.1:80", "[::]:80"])
def test_beyond_this_machine_only_with_tls_or_a_proxy(listen: str, tmp_path: Path) -> None:
    """Plain HTTP would show tokens to everyone on the way."""
    with pytest.raises(ValidationError, match="beyond this machine"):
        HttpConfig(listen=listen)
    HttpConfig(listen=listen, proxy="192.0.2.9")
    HttpConfig(listen=listen, certificate_file=tmp_path, key_file=tmp_path)


@pytest.mark.parametrize("listen", ["", "80", "localhost:80", "127.0.0.1:99999", "127.0.0.1:"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValidationError, match=r"127\.0\.0\.1"):
        HttpConfig(listen=listen)


def test_the_page_loads_nothing_from_elsewhere(served: Served) -> None:
    """No script, no font, no style of another host; and the bridge says so to browsers."""
    page = served.ask("GET", "/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "/v1/twins/{device}/reported" in page.text


async def test_small_answers_are_sent_at_once() -> None:
    """Else the second packet of an answer waits for the client to acknowledge the first: 40 ms."""
    arrived: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        arrived.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = _listen("127.0.0.1", 0)
    async with await asyncio.start_server(look, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await arrived
        writer.close()
        await writer.wait_closed()
