"""Trying again while the store cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from bridge import metrics
from bridge.errors import StoreUnavailable
from bridge.service.store_health import StoreHealth
from bridge.service.transaction import StaleTwins

RETRY_MIN_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
"""Between these the wait grows while the store cannot be written."""


class BatchGivenUp(Exception):
    """The store could not be written for too long; nothing of the batch took effect."""


async def retry_while_unavailable(
    work: Callable[[], Awaitable[None]],
    health: StoreHealth,
    counters: metrics.Counters,
    timeout_s: float,
    log: FilteringBoundLogger,
) -> None:
    """Do something, again and again until the store can be written.

    Raises:
        BatchGivenUp: The store stayed away for `timeout_s`.
    """
    wait_s = RETRY_MIN_S
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + timeout_s
    while True:
        try:
            await work()
        except StaleTwins:
            continue
        except StoreUnavailable as error:
            counters.add(metrics.COMMIT_FAILURES)
            health.note(is_available=False)
            if clock() >= give_up_at:
                raise BatchGivenUp(error.message) from error
            log.error(  # noqa: TRY400 - it is expected, and told in words
                "the store cannot be written; nothing is acknowledged until it can",
                reason=error.message,
                hint=error.hint,
                retry_in_s=wait_s,
            )
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)
        else:
            return
