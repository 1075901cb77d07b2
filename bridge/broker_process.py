"""The process of the embedded broker: `python -m bridge.broker_process FILE BIND PARENT`.

Started by `bridge.broker` and by nobody else. It writes `ready` to standard output once it listens,
ends in good order at SIGTERM, and at once when its parent is gone, which it notices in two ways:
standard input is a pipe that only the parent holds open, and on Linux the kernel tells.

Where it cannot start, the last line that it writes to standard error is the reason.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from amqtt.broker import Broker
from amqtt.session import Session

_SHUTDOWN_TIMEOUT_S = 2.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Subscriptions(dict[str, Any]):
    """amqtt's table of subscriptions, iterated over as it was when the iteration began.

    amqtt 0.12.1 awaits while it iterates, and where another client subscribes meanwhile, it drops
    the one that is connecting: "dictionary changed size during iteration".
    """

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(super().__iter__()))


class _Broker(Broker):  # type: ignore[misc]  # amqtt has no types
    """amqtt's broker, which sends what is retained to those only who have subscribed to it.

    amqtt 0.12.1 goes through the subscriptions of all clients whenever one connects, and sends it
    what is retained for them, whether it may read that or not.
    """

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribed = self._subscriptions.get(subscription[0], ())
        if any(each is session for each, _ in subscribed):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def main(arguments: list[str]) -> None:
    """Run the broker until it is told to end.

    Args:
        arguments: An amqtt configuration file, `host:port` to listen on, the parent's process id.
    """
    file, bind, parent = arguments
    _end_with_parent(int(parent))
    # What plugins print must not be taken for our one line.
    ready = os.dup(1)
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(_configuration(Path(file), bind), ready))


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # It may have ended before that call.
        if os.getppid() != parent:
            os._exit(0)
    threading.Thread(target=_watch_parent, name="watch-parent", daemon=True).start()


def _watch_parent() -> None:
    while os.read(0, 1):
        pass
    # Not a shutdown in good order: the event loop may be what is stuck, and nothing is on disk.
    os._exit(0)


def _configuration(file: Path, bind: str) -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    configuration["listeners"]["default"]["bind"] = bind
    return configuration


async def _serve(configuration: dict[str, Any], ready: int) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    broker = _Broker(configuration)
    broker._subscriptions = _Subscriptions()
    await broker.start()
    os.write(ready, b"ready\n")
    os.close(ready)
    await ending.wait()
    try:
        # From Python 3.12 on, closing waits until every client has gone by itself.
        await asyncio.wait_for(broker.shutdown(), _SHUTDOWN_TIMEOUT_S)
    except TimeoutError:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
