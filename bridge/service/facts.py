"""What the store remembers of the bridge itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from bridge.service.store_thread import StoreThread

CLIENT_ID: Final = "client_id"
"""Name of the store's fact that holds the client id: the session at the broker belongs to it."""

SESSION: Final = "session"
"""Name of the store's fact that tells at which broker a session was begun, and as whom."""


async def read_facts(store: StoreThread) -> Mapping[str, str]:
    """Return the facts, with a client id that is made where there is none.

    Raises:
        StoreError: They cannot be read, or the client id cannot be written.
    """
    facts = await store.run(lambda opened: opened.metadata())
    if CLIENT_ID not in facts:
        client_id = f"syncbridge-{secrets.token_hex(8)}"
        await store.run(lambda opened: opened.set_metadata(CLIENT_ID, client_id))
        facts = await store.run(lambda opened: opened.metadata())
    return facts
