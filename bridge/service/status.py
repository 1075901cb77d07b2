"""The bridge's status topic, and what it tells about the broker's memory.

`{prefix}/$bridge/status` is retained, and the bridge reads it back at every connection before it
writes it anew. What it finds there is as old as everything else that the broker still retains:
nothing, if the broker has lost its retained messages; an older status, if it came back from an
older snapshot; the bridge's own last word, if nothing was lost. So one message tells from which
moment on the retained topics have to be published again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import orjson

from bridge import __version__
from bridge.core.section import JsonObject
from bridge.link.base import Publication

EVERYTHING: Final = 0
"""Memory of a broker that has nothing of this bridge: publish all twins again."""

UNAVAILABLE: Final = "unavailable"
"""Said of a store that cannot be written. Why is for the log: the status is for everybody."""


@dataclass(frozen=True, slots=True)
class Status:
    """What stands on the status topic.

    Attributes:
        online: The bridge is connected.
        version: Version of the program.
        instance: Identity of the store.
        since: Since when this connection has stood, in µs; it names the connection.
        published_through: Every version up to this time has been acknowledged by the broker, in µs;
            `EVERYTHING` while it is not known what the broker has forgotten, or while that is
            being published again: whoever finds this status then begins anew.
        store: `UNAVAILABLE` while the store cannot be written, so that nothing is acknowledged;
            else None, and not in the document.
    """

    online: bool
    version: str
    instance: str
    since: int
    published_through: int
    store: str | None = None

    def encode(self) -> bytes:
        """Return it as JSON."""
        document: JsonObject = {
            "online": self.online,
            "version": self.version,
            "instance": self.instance,
            "since": self.since,
            "published_through": self.published_through,
        }
        if self.store is not None:
            document["store"] = self.store
        return orjson.dumps(document)

    def publication(self, topic: str) -> Publication:
        """Return it as a retained publish."""
        return Publication(topic, self.encode(), retain=True, content_type="application/json")

    def through(self, published_through: int) -> Status:
        """Return the same with a newer `published_through`."""
        return replace(self, published_through=published_through)

    def with_store(self, *, is_available: bool) -> Status:
        """Return the same, and what is to be said of the store."""
        return replace(self, store=None if is_available else UNAVAILABLE)

    def offline(self) -> Status:
        """Return what is to be said after this: the last will, and the last word."""
        return replace(self, online=False, store=None)


def new_status(instance: str, since: int) -> Status:
    """Return the status of a connection that begins; nothing is known yet of its broker."""
    return Status(True, __version__, instance, since, EVERYTHING)


def decode_status(payload: bytes) -> Status | None:
    """Decode a retained status; None if it is none of ours."""
    try:
        document: object = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return _from_document(document) if isinstance(document, dict) else None


def _from_document(document: JsonObject) -> Status | None:
    online, version, instance = (document.get(n) for n in ("online", "version", "instance"))
    since, through = document.get("since"), document.get("published_through")
    store = document.get("store")
    if (
        isinstance(online, bool)
        and isinstance(version, str)
        and isinstance(instance, str)
        and isinstance(since, int)
        and isinstance(through, int)
        and (store is None or isinstance(store, str))
    ):
        return Status(online, version, instance, since, through, store)
    return None


def remembered_through(
    found: Status | None, instance: str, last_since: int | None, clock: int
) -> int | None:
    """Tell up to which time the broker's retained topics are what the bridge has published.

    Args:
        found: What was retained before this connection wrote its own; None if nothing was.
        instance: Identity of the store.
        last_since: `since` of the last connection on which everything was published, as the store
            knows it; None before the first.
        clock: The bridge's clock, in µs.

    Returns:
        A time in µs: twins changed at or after it have to be published again. None if nothing was
        forgotten. `EVERYTHING` if all of it was, or if the clock has been set back, so that times
        cannot be compared.
    """
    if found is None or found.instance != instance or found.published_through > clock:
        return EVERYTHING
    if not found.online and found.since == last_since:
        # The last word of a connection that had published everything: that is there too.
        return None
    return found.published_through
