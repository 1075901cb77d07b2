"""A real bridge with its HTTP API in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests

from bridge.config import Config, HttpConfig
from bridge.service import Bridge
from bridge.store.base import Store
from tests.support.bridge import WAIT_S, make_config
from tests.support.mosquitto import Mosquitto

Result = TypeVar("Result")


class Served:
    """A bridge that answers HTTP.

    Attributes:
        bridge: The bridge.
        loop: The event loop that it runs on.
        port: Where its API answers.
        url: The same, as a URL.
        session: The client that asks.
    """

    def __init__(self, bridge: Bridge, loop: asyncio.AbstractEventLoop, scheme: str) -> None:
        assert bridge.http_address is not None
        self.bridge = bridge
        self.loop = loop
        self.port = bridge.http_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the bridge's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)

    def store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store in its thread."""
        return self.run(self.bridge.run_store(function))

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with `requests`."""
        return self.session.request(method, self.url + path, timeout=WAIT_S, **options)


def http_config(broker: Mosquitto, directory: Path, **sections: Any) -> Config:
    """The configuration of a bridge with HTTP on a free port."""
    http = {"listen": "127.0.0.1:0", **sections.pop("http", {})}
    return make_config(broker, directory, http=HttpConfig(**http), **sections)


@contextmanager
def serving(config: Config, scheme: str = "http") -> Iterator[Served]:
    """Run a bridge until the end of the block."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stopping = asyncio.Event()
    bridges: list[Bridge] = []

    async def run() -> None:
        try:
            async with Bridge(config) as bridge:
                await bridge.wait_until_connected()
                bridges.append(bridge)
                started.set()
                await stopping.wait()
        finally:
            started.set()
            for _ in range(10):
                # Turns of the loop, in which connections that are closed let go of their sockets.
                await asyncio.sleep(0)

    with ThreadPoolExecutor(1, thread_name_prefix="bridge") as thread:
        running = thread.submit(loop.run_until_complete, run())
        try:
            assert started.wait(WAIT_S)
            if running.done():
                running.result()
            served = Served(bridges[0], loop, scheme)
            with served.session:
                yield served
        finally:
            loop.call_soon_threadsafe(stopping.set)
            try:
                running.result(WAIT_S)
            finally:
                loop.close()
