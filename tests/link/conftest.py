"""The implementations of a connection, and what their tests are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import aiomqtt
import pytest

from bridge.link.base import LinkSettings, ProtocolVersion, Subscription
from bridge.link.broker_link import BrokerLink
from tests.link.owned_link import OwnedLink
from tests.link.relay import Relay
from tests.support.mosquitto import Mosquitto
from tests.support.sockets import SEND_AT_ONCE


class Variant(NamedTuple):
    """One implementation, and the version of MQTT that it speaks."""

    name: str
    protocol: ProtocolVersion


VARIANTS = [Variant("mqtt5", "5"), Variant("paho", "3.1.1")]
"""Every implementation: each passes the contract suite."""


def _name(variant: Variant) -> str:
    return variant.name


mqtt5_only = pytest.mark.parametrize(
    "variant",
    [variant for variant in VARIANTS if variant.protocol == "5"],
    ids=_name,
    indirect=True,
)
"""For what MQTT 3.1.1 cannot do."""


mqtt311_only = pytest.mark.parametrize(
    "variant",
    [variant for variant in VARIANTS if variant.protocol == "3.1.1"],
    ids=_name,
    indirect=True,
)
"""For what only paho-mqtt cannot do."""


class OpenLink(Protocol):
    """Makes links that are stopped when the test ends; settings may be overridden by name."""

    def __call__(self, host: str, port: int, **overrides: Any) -> OwnedLink:
        """Make one; `OwnedLink.start` starts it."""


@pytest.fixture(params=VARIANTS, ids=_name)
def variant(request: pytest.FixtureRequest) -> Variant:
    """One implementation in one version of MQTT."""
    chosen: Variant = request.param
    return chosen


def settings_for(host: str, port: int, **overrides: Any) -> LinkSettings:
    """Return settings for short tests."""
    settings = LinkSettings(
        host,
        port,
        "bridge",
        (Subscription("in/#"),),
        backoff_min_s=0.05,
        backoff_max_s=0.2,
        keepalive_s=60,
    )
    return replace(settings, **overrides)


@pytest.fixture
async def links() -> AsyncIterator[list[OwnedLink]]:
    """Links that are stopped when the test ends."""
    made: list[OwnedLink] = []
    yield made
    await asyncio.gather(*(owned.link.stop() for owned in made))


@pytest.fixture
def open_link(variant: Variant, links: list[OwnedLink]) -> OpenLink:
    """Make links of the variant under test."""

    def make(host: str, port: int, **overrides: Any) -> OwnedLink:
        overrides.setdefault("protocol", variant.protocol)
        links.append(OwnedLink(BrokerLink, settings_for(host, port, **overrides)))
        return links[-1]

    return make


@pytest.fixture
def open_any(links: list[OwnedLink]) -> OpenLink:
    """Make links that find out the version of MQTT themselves."""

    def make(host: str, port: int, **overrides: Any) -> OwnedLink:
        links.append(OwnedLink(BrokerLink, settings_for(host, port, **overrides)))
        return links[-1]

    return make


@pytest.fixture
async def relay(mosquitto: Mosquitto) -> AsyncIterator[Relay]:
    """A relay in front of the Mosquitto of the test."""
    async with Relay(mosquitto.host, mosquitto.port) as running:
        yield running


@pytest.fixture
async def device(mosquitto: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    """Another client of the test's Mosquitto, in MQTT 5."""
    async with aiomqtt.Client(
        mosquitto.host,
        mosquitto.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=SEND_AT_ONCE,
    ) as client:
        yield client
