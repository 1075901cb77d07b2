"""Who a bridge is, as its store says: made at the first start, and the same ever after."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from typing import Final

from bridge.errors import StoreUnavailable
from bridge.service.store_thread import StoreThread

CLIENT_ID: Final = "client_id"
"""Name of the store's fact that holds the client id: the session at the broker belongs to it."""

SESSION: Final = "session"
"""Name of the store's fact that tells at which broker a session was begun, and as whom."""


async def read_metadata(store: StoreThread) -> Mapping[str, str]:
    """Return the store's facts; a client id is among them.

    Raises:
        StoreError: They cannot be read, or the client id not be kept.
    """
    metadata = await store.run(lambda opened: opened.metadata())
    if CLIENT_ID not in metadata:
        client_id = f"syncbridge-{secrets.token_hex(8)}"
        await store.run(lambda opened: opened.set_metadata(CLIENT_ID, client_id))
        metadata = await store.run(lambda opened: opened.metadata())
    return metadata


async def keep_fact(store: StoreThread, name: str, value: str) -> None:
    """Keep a fact, if that can be: without it the next start only does again what is done."""
    with contextlib.suppress(StoreUnavailable):
        await store.run(lambda opened: opened.set_metadata(name, value))
