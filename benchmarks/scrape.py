"""What a running bridge and a Mosquitto say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.client import open_client
from benchmarks.packets import Publish
from bridge.api.socket_file import socket_path

QUEUED_MESSAGES: Final = 100_000
"""What the broker keeps for the bridge, as docs/operations.md has it."""

ANSWER_TIMEOUT_S: Final = 30.0

_DROPPED: Final = "$SYS/broker/publish/messages/dropped"
_UPTIME: Final = "$SYS/broker/uptime"

Metrics = Mapping[tuple[str, str], float]
"""Name and values of the labels -> value."""


def broker_settings(queued_messages: int = QUEUED_MESSAGES) -> str:
    """Return settings of a Mosquitto: the documented ones, no persistence, a count each second."""
    return (
        f"max_inflight_messages 1000\nmax_queued_messages {queued_messages}\n"
        "persistence false\nsys_interval 1"
    )


async def read_metrics(store_path: Path) -> Metrics:
    """Ask a bridge for its metrics, on the socket beside its store."""
    transport = httpx.AsyncHTTPTransport(uds=str(socket_path(store_path)))
    async with httpx.AsyncClient(transport=transport, timeout=ANSWER_TIMEOUT_S) as client:
        answer = await client.get("http://bridge/metrics")
    answer.raise_for_status()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def read_dropped(port: int) -> int:
    """Ask a Mosquitto how many messages it has dropped because a queue was full.

    It says so once in `sys_interval`, and only where the number has changed; so the second word
    after this question is about everything that was before.
    """
    dropped = 0
    words = 0
    told = asyncio.Event()

    def take(publish: Publish) -> None:
        nonlocal dropped, words
        if publish.topic == _DROPPED:
            dropped = int(publish.payload)
        elif not publish.retain:
            words += 1
            if words == 2:
                told.set()

    client = await open_client(port, "counter", on_publish=take)
    await client.subscribe([_DROPPED, _UPTIME], 0)
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        await told.wait()
    await client.ping()
    await client.close()
    return dropped
