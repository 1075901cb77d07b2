"""Goes through all twins once, so that every device is asked, and goes on after a restart.

How far it has come is a fact in the store. It is written once a page: after a restart some of one
page are asked again, and nobody is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from bridge.core.topics import TwinKey
from bridge.logs import get_logger
from bridge.service.store_thread import StoreThread
from bridge.store.base import Store, StoredTwin
from bridge.store.restore import RESTORED_AT
from bridge.wire.notices import ResyncReason

ROLL_CALL: Final = "resync_roll_call"
"""Name of the store's fact that tells how far a roll call has come; empty when it is over."""

RESTORE_ASKED: Final = "resync_restored_at"
"""Name of the store's fact that tells for which restore there was a roll call, or is one."""

PAGE_TWINS: Final = 100
"""Twins read from the store at once, and how many may be asked twice because of a restart."""

_log = get_logger("bridge.resync")


@dataclass(slots=True)
class _Call:
    """One roll call: why, from when on (in s), and after which twin it goes on."""

    reason: ResyncReason
    begins_at: float
    after: TwinKey | None = None

    def encode(self) -> str:
        """Return what a restart has to know."""
        after = None if self.after is None else [*self.after]
        return orjson.dumps({"reason": self.reason, "after": after}).decode()


class RollCall:
    """The twins that are still to be asked, and why. Times are in s, on a clock that is given.

    Args:
        store: Where the twins and the facts are.
        delay_s: How long a roll call waits before it begins: devices that have lost their
            connection together with the bridge need time to come back.
        interval_s: The shortest time from the beginning of one to that of the next.
    """

    def __init__(self, store: StoreThread, delay_s: float, interval_s: float) -> None:
        self._store = store
        self._delay_s = delay_s
        self._interval_s = interval_s
        self._call: _Call | None = None
        self._page: deque[TwinKey] = deque()
        self._page_end: TwinKey | None = None
        self._facts: dict[str, str] = {}
        self._last_began_at = float("-inf")

    def resume(self, facts: Mapping[str, str], now: float) -> None:
        """Take up what the last process left, or begin because a backup was restored since."""
        restored_at = facts.get(RESTORED_AT, "")
        if restored_at != facts.get(RESTORE_ASKED, ""):
            self.begin("store_restored", now)
            self._facts[RESTORE_ASKED] = restored_at
        else:
            self._call = _decode(facts.get(ROLL_CALL, ""), now + self._delay_s)

    def begin(self, reason: ResyncReason, now: float) -> None:
        """Ask everyone, from the first one on."""
        begins_at = max(now + self._delay_s, self._last_began_at + self._interval_s)
        self._call = _Call(reason, begins_at)
        self._page.clear()
        self._page_end = None
        self._facts[ROLL_CALL] = self._call.encode()
        _log.info("asking every device for a full report", reason=reason)

    @property
    def must_be_kept(self) -> bool:
        """Whether the store does not know yet what there is to do."""
        return bool(self._facts)

    @property
    def begins_at(self) -> float | None:
        """From when on the next twin may be asked; None if nobody is to be asked."""
        return None if self._call is None else self._call.begins_at

    async def keep(self) -> None:
        """Have the store know what there is to do.

        Raises:
            StoreUnavailable: It could not be written; try again.
        """
        facts = self._facts

        def keep(store: Store) -> None:
            for name, value in facts.items():
                store.set_metadata(name, value)

        self._facts = {}
        try:
            await self._store.run(keep)
        except BaseException:
            self._facts = {**facts, **self._facts}
            raise

    async def take(self, now: float) -> tuple[TwinKey, ResyncReason] | None:
        """Return the next twin to ask, and why; None if nobody is to be asked at this time.

        Raises:
            StoreUnavailable: The store could not be used; try again.
        """
        while (call := self._call) is not None and call.begins_at <= now:
            self._last_began_at = max(self._last_began_at, call.begins_at)
            if self._page:
                return self._page.popleft(), call.reason
            await self._turn_page(call)
        return None

    async def _turn_page(self, call: _Call) -> None:
        """Note that a page is done, and read the next one."""
        if self._page_end is not None:
            call.after, self._page_end = self._page_end, None
            self._facts[ROLL_CALL] = call.encode()
            await self.keep()
        after = call.after
        rows: list[StoredTwin] = await self._store.run(
            lambda store: store.changed_since(0, after, PAGE_TWINS)
        )
        if self._call is not call:
            return  # Another one has begun meanwhile.
        if rows:
            self._page.extend(row.key for row in rows if row.exists)
            self._page_end = rows[-1].key
            return
        self._call = None
        self._facts[ROLL_CALL] = ""
        _log.info("every device has been asked for a full report", reason=call.reason)
        await self.keep()


def _decode(fact: str, begins_at: float) -> _Call | None:
    """Return the roll call that a fact tells of; None where it is over or cannot be read."""
    try:
        found: object = orjson.loads(fact)
    except orjson.JSONDecodeError:
        return None
    match found:
        case {"reason": "session_lost" | "store_restored" as reason, "after": None}:
            return _Call(reason, begins_at)
        case {
            "reason": "session_lost" | "store_restored" as reason,
            "after": [str(device), str(name)],
        }:
            return _Call(reason, begins_at, TwinKey(device, name))
        case _:
            return None
