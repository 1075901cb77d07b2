"""A store with a past, for the commands that read it: free, or held by a bridge."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from bridge.config import Config
from bridge.core.orders import Deletion, Order
from bridge.core.topics import TwinKey
from bridge.core.update import Presence
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.orders import LAMP, report, update
from tests.store.samples import commit, conflict

EVIL = "\x1b[2Jx" + "y" * 5000
"""A value that would clear the screen, and is long."""

NET = TwinKey("lamp-1", "net")


def carry_out(store: SqliteStore, order: Order, key: TwinKey = LAMP) -> Any:
    """Change a twin in a store that is open."""
    return apply_offline(store, Config(), key, order, now_us)


def make_past(path: Path) -> None:
    """Make a store: a lamp at version 7 with a past, a named twin at 1, and three conflicts."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        for order in (
            update({"on": True, "timer": 30}),
            report({"on": True}, boot="b1", seq=1),
            Presence(False),
            Deletion("app-2"),
            update({"on": True, "color": {"r": 255}}),
            report({"on": True, "evil": EVIL}, boot="b1", seq=4),
            update({"on": False, "color": None}, writer="app-2"),
        ):
            assert carry_out(store, order).changed
        carry_out(store, update({"ssid": "home"}, key=NET), NET)
        for version in (1, 2, 3):
            commit(store, conflicts=[conflict(version)])
