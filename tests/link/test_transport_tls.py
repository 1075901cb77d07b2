"""TLS to a real Mosquitto: who is let in, and what is said where it fails."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.errors import ConnectRefused, LinkError
from bridge.link import reasons
from bridge.link.base import Publication, Subscription
from bridge.link.broker_link import BrokerLink
from bridge.link.tls import TlsSettings
from bridge.link.transport import open_transport
from tests.link.owned_link import WAIT_S, OwnedLink, within
from tests.link.transports import CONNACK, CONNECT, Recorder, serving, settings_for
from tests.support.certificates import Authority, Pair
from tests.support.mosquitto import Mosquitto


class _Site(NamedTuple):
    """A broker with a listener for each case, and what a client needs for it."""

    broker: Mosquitto
    authority: Authority
    stranger: Authority
    tls: TlsSettings

    def port(self, listener: str) -> int:
        return self.broker.ports[listener]

    def presenting(self, pair: Pair) -> TlsSettings:
        return replace(self.tls, certificate_file=pair.certificate, key_file=pair.key)


def _lines(pair: Pair) -> list[str]:
    return [f"certfile {pair.certificate}", f"keyfile {pair.key}"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Site]:
    """One broker for all cases."""
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority(directory / "authority")
    stranger = Authority(directory / "stranger", "stranger")
    good = authority.issue("good", "127.0.0.1", "broker.example")
    mutual = [*_lines(good), f"cafile {authority.file}", "require_certificate true"]
    listeners = {
        "good": _lines(good),
        "expired": _lines(authority.issue("expired", "127.0.0.1", from_days=-2, to_days=-1)),
        "early": _lines(authority.issue("early", "127.0.0.1", from_days=0.5)),
        "other name": _lines(authority.issue("other", "other.example")),
        "mutual": mutual,
        "wss": [*_lines(good), "protocol websockets"],
    }
    with Mosquitto(directory / "broker", listeners=listeners) as broker:
        yield _Site(broker, authority, stranger, TlsSettings(ca_file=authority.file))


async def _refused(port: int, tls: TlsSettings, **overrides: Any) -> ConnectRefused:
    recorder = Recorder()
    with pytest.raises(ConnectRefused) as refused:
        await open_transport(recorder, settings_for(port, tls=tls, **overrides))
    assert not recorder.is_connected
    assert f"127.0.0.1:{port}" in refused.value.message
    assert refused.value.hint
    assert refused.value.recoverable
    return refused.value


async def _connect(port: int, tls: TlsSettings) -> Recorder:
    recorder = Recorder()
    await open_transport(recorder, settings_for(port, tls=tls))
    return recorder


async def test_mqtt_is_spoken_over_tls(site: _Site) -> None:
    """In 1.2 or newer."""
    recorder = await _connect(site.port("good"), site.tls)

    recorder.transport.write(CONNECT)

    await recorder.receive(CONNACK)
    assert recorder.transport.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
    await recorder.leave()


@pytest.mark.parametrize(
    ("listener", "words", "hint"),
    [
        ("expired", "has expired", "renew it"),
        ("early", "is not valid yet", "clocks"),
        ("other name", "is for another name: IP address mismatch", "broker.server_name"),
    ],
)
async def test_a_bad_certificate_is_refused_with_why(
    site: _Site, listener: str, words: str, hint: str
) -> None:
    """Each may be renewed at the broker while the bridge waits."""
    error = await _refused(site.port(listener), site.tls)

    assert words in error.message
    assert hint in error.hint


@pytest.mark.parametrize("trusted", ["the system's", "another"])
async def test_an_authority_that_is_not_trusted_is_refused(site: _Site, trusted: str) -> None:
    """With the setting that names one."""
    tls = TlsSettings() if trusted == "the system's" else TlsSettings(site.stranger.file)

    error = await _refused(site.port("good"), tls)

    assert "is signed by no authority that is trusted here" in error.message
    assert "broker.ca_file" in error.hint


async def test_the_server_name_is_what_the_certificate_must_be_for(site: _Site) -> None:
    """Where the broker is reached under an address that it does not know."""
    named = replace(site.tls, server_name="other.example")

    await (await _connect(site.port("other name"), named)).leave()

    error = await _refused(site.port("good"), named)
    assert "is for another name: Hostname mismatch" in error.message


async def test_a_client_certificate_lets_us_in(site: _Site) -> None:
    """Mutual TLS."""
    recorder = await _connect(site.port("mutual"), site.presenting(site.authority.issue("bridge")))

    recorder.transport.write(CONNECT)

    await recorder.receive(CONNACK)
    await recorder.leave()


@pytest.mark.parametrize(
    ("presented", "words", "hint"),
    [
        ("nothing", "asks for a client certificate", "set broker.certificate_file"),
        ("strange", "refused the client certificate: unknown ca", "check that broker.certificate_"),
    ],
)
async def test_a_broker_that_does_not_know_us_says_so(
    site: _Site, presented: str, words: str, hint: str
) -> None:
    """In TLS 1.3 after the handshake: the connection is lost with it."""
    tls = site.tls
    if presented == "strange":
        tls = site.presenting(site.stranger.issue("client"))
    recorder = await _connect(site.port("mutual"), tls)

    error = reasons.closed_unanswered("broker:8883", await within(recorder.lost))

    assert words in error.message
    assert hint in error.hint
    assert error.recoverable


@pytest.mark.parametrize("presented", ["nothing", "strange"])
async def test_in_tls_1_2_the_handshake_fails_for_whom_the_broker_does_not_know(
    site: _Site, presented: str
) -> None:
    """There it is part of it."""
    good = site.authority.issue("server", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*good)
    context.load_verify_locations(site.authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    tls = site.tls
    if presented == "strange":
        tls = site.presenting(site.stranger.issue("client"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        shaken = asyncio.create_task(asyncio.to_thread(_fail_handshake, listener, context))
        error = await _refused(listener.getsockname()[1], tls)
        await shaken

    expected = {
        "nothing": "refused TLS: handshake failure",
        "strange": "refused the client certificate: unknown ca",
    }
    assert expected[presented] in error.message
    assert "broker.certificate_file" in error.hint


async def test_a_port_without_tls_is_told_from_one_with(site: _Site) -> None:
    """Mosquitto closes the connection on what is no MQTT."""
    error = await _refused(site.broker.port, site.tls)

    assert "ended the connection in the TLS handshake" in error.message
    assert "8883" in error.hint


async def test_a_server_that_answers_in_another_protocol_is_said_to(site: _Site) -> None:
    """Here one of HTTP."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with serving(answer) as port:
        error = await _refused(port, site.tls)

    assert "does not answer in TLS: wrong version number" in error.message


async def test_a_server_without_a_safe_version_is_refused(site: _Site) -> None:
    """Its alert says which."""
    alert = b"\x15\x03\x01\x00\x02\x02\x46"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(alert)
        await reader.read()

    async with serving(answer) as port:
        error = await _refused(port, site.tls)

    assert "no version of TLS that is safe" in error.message


async def test_a_server_that_is_silent_is_left_in_time(site: _Site) -> None:
    """The time-out is for the handshake as well."""
    async with serving(_read_to_end) as port:
        error = await _refused(port, site.tls, connect_timeout_s=0.3)

    assert "did not answer the TLS handshake within 0.3 s" in error.message


async def test_mqtt_to_a_port_with_tls_names_tls(site: _Site) -> None:
    """The broker closes the connection without a word that MQTT could read."""
    recorder = Recorder()
    await open_transport(recorder, settings_for(site.port("good")))
    recorder.transport.write(CONNECT)

    error = reasons.closed_unanswered("broker:8883", await within(recorder.lost))

    assert "without an answer to CONNECT" in error.message
    assert "mqtts://" in error.hint


async def test_renewed_files_are_used_at_the_next_connection(site: _Site, tmp_path: Path) -> None:
    """Without a restart; and while they are wrong, it is said and tried again."""
    ca_file = tmp_path / "ca.pem"
    shutil.copy(site.stranger.file, ca_file)
    tls = TlsSettings(ca_file)
    await _refused(site.port("good"), tls)

    ca_file.write_text("half of a certi")
    error = await _refused(site.port("good"), tls)
    assert "broker.ca_file" in error.message

    shutil.copy(site.authority.file, ca_file)
    await (await _connect(site.port("good"), tls)).leave()


@pytest.mark.parametrize(
    ("listener", "received_bytes"),
    # Over WebSocket Mosquitto 2.0.11 sends 4 KiB of a message every 100 ms.
    [("good", 300_000), ("mutual", 300_000), ("wss", 10_000)],
)
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_link_carries_large_messages_both_ways(
    site: _Site, listener: str, received_bytes: int, protocol: str
) -> None:
    """Larger than what a single read or record holds."""
    settings = settings_for(
        site.port(listener),
        tls=site.presenting(site.authority.issue("link")),
        websocket_path="/mqtt" if listener == "wss" else None,
        protocol=protocol,
    )
    owned = OwnedLink(BrokerLink, replace(settings, subscriptions=(Subscription("in/#"),)))
    try:
        await owned.start()
        await owned.publish("out/a", b"o" * 300_000)
        payloads = [bytes([i]) * received_bytes for i in range(3)]
        for payload in payloads:
            owned.link.publish(Publication("in/a", payload))

        messages = await owned.take(3)

        assert [message.payload for message in messages] == payloads
        owned.link.acknowledge(messages)
        await owned.fence()
    finally:
        await owned.link.stop()


async def test_the_link_says_what_is_wrong_and_tries_again(site: _Site) -> None:
    """A certificate is renewed by somebody some day."""
    settings = replace(
        settings_for(site.port("expired"), tls=site.tls), backoff_min_s=0.01, backoff_max_s=0.02
    )
    owned = OwnedLink(BrokerLink, settings)
    await owned.link.start(owned)
    try:
        errors: list[LinkError] = [await owned.next_error(), await owned.next_error()]
    finally:
        await owned.link.stop()

    assert all("has expired" in error.message for error in errors)
    assert len({error.message for error in errors}) == 1


async def _read_to_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _fail_handshake(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one client. Not in asyncio, which closes the connection without its alert."""
    connection, _ = listener.accept()
    with (
        context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as server,
        pytest.raises(ssl.SSLError),
    ):
        server.do_handshake()
