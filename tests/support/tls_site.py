"""A real Mosquitto with a listener for each certificate that a client may meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.certificates import Authority, Pair, self_signed
from tests.support.mosquitto import Mosquitto

FLAWS = {
    "expired": "has expired",
    "early": "is not valid yet",
    "other name": "is for another name",
    "self-signed": "is signed by no authority that is trusted here",
    "unknown authority": "is signed by no authority that is trusted here",
}
"""Listeners whose certificates are not good, with the words for that."""


class TlsSite(NamedTuple):
    """A broker, and what a client needs for it.

    Attributes:
        broker: With the listeners `good`, `mutual`, which asks for a client certificate, those in
            `FLAWS`, and one without TLS.
        ca: The authority to trust.
        client: A client certificate that it has signed.
    """

    broker: Mosquitto
    ca: Path
    client: Pair

    def port(self, listener: str) -> int:
        """Where a listener is; its host is 127.0.0.1."""
        return self.broker.ports[listener]


@contextmanager
def tls_site(directory: Path) -> Iterator[TlsSite]:
    """Run one."""
    authority = Authority(directory / "authority")
    stranger = Authority(directory / "stranger", "stranger")
    address = "127.0.0.1"
    good = authority.issue("good", address)
    servers = {
        "good": good,
        "mutual": good,
        "expired": authority.issue("expired", address, from_days=-2, to_days=-1),
        "early": authority.issue("early", address, from_days=0.5),
        "other name": authority.issue("other", "other.example"),
        "self-signed": self_signed(directory / "self", address),
        "unknown authority": stranger.issue("unknown", address),
    }
    listeners = {
        name: [f"certfile {pair.certificate}", f"keyfile {pair.key}"]
        for name, pair in servers.items()
    }
    listeners["mutual"] += [f"cafile {authority.file}", "require_certificate true"]
    with Mosquitto(directory / "broker", listeners=listeners) as broker:
        yield TlsSite(broker, authority.file, authority.issue("client"))
