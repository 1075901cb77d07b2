"""Placeholder until the transports arrive."""

from __future__ import annotations

import asyncio

from bridge.link import reasons
from bridge.link.base import LinkSettings
from bridge.link.paho_stream import open_stream


async def open_transport(protocol: asyncio.BufferedProtocol, settings: LinkSettings) -> None:
    """Connect."""
    try:
        await open_stream(protocol, settings.host, settings.port, settings.connect_timeout_s)
    except OSError as error:
        raise reasons.unreachable(f"{settings.host}:{settings.port}", error) from error
