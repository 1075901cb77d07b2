"""Sessions for tests, and what a bridge answers them."""

from __future__ import annotations

import orjson

from bridge.device import DeviceSession, Encoding, JsonValue

REPLY = "sync/lamp-1/reply/lamp-1"
DELTA = "sync/lamp-1/delta"
RESYNC = "sync/lamp-1/resync"


def new_session(
    *, name: str = "", prefix: str = "sync", window: int = 8, encoding: Encoding = "json"
) -> DeviceSession:
    """Return the session of lamp-1 in boot b1."""
    return DeviceSession(
        "lamp-1", boot="b1", name=name, prefix=prefix, window=window, encoding=encoding
    )


def connected(session: DeviceSession, now: float = 0.0) -> DeviceSession:
    """Connect, and take the presence out of the way."""
    session.connected(now)
    assert session.outgoing(now)[0].topic == "sync/lamp-1/presence"
    return session


def get_answer(request_id: str, **members: JsonValue) -> bytes:
    """Return the bridge's answer to a get."""
    body: dict[str, JsonValue] = {
        "$": {"id": request_id, "ok": True, "version": 9, "full": True},
        "at": 5,
        "reported": {"on": True},
        "desired": {},
        "online": True,
    }
    return orjson.dumps(body | members)
