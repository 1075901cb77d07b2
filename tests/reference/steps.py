"""What can happen to a twin, as plain tuples that print as Python: a history is a list of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from bridge.core.refusal import Refusal
from bridge.core.topics import TwinKey
from bridge.core.update import (
    NO_METADATA,
    Boot,
    Delivery,
    Metadata,
    Presence,
    SectionName,
    Update,
)

DEVICE = "lamp"
"""The device whose twin it is; applications come before and after it in the alphabet."""

APPS = ("anna", "zoe")

NOW = 1_795_000_000_000_000
SECOND = 1_000_000

TWIN_KEY = TwinKey(DEVICE)
MALFORMED = Refusal(400, "too_deep", "…")


class Send(NamedTuple):
    """An update arrives. `clock` is the bridge's, in µs; `bad` is one that the wire refuses."""

    section: SectionName
    writer: str
    patch: dict[str, Any]
    clock: int
    boot: Boot | None = None
    seq: int | None = None
    seen: int | None = None
    t: int | None = None
    if_version: int | None = None
    full: bool = False
    packet_id: int = 0
    repeated: bool = False
    retained: bool = False
    bad: bool = False

    def update(self) -> Update:
        """Return what the wire would make of it; its bytes are those of all but the delivery."""
        boot = 0 if self.boot is None and self.seq is not None else self.boot
        metadata = Metadata(None, boot, self.seq, self.seen, self.t, self.if_version, self.full)
        content = (self.patch, self.boot, self.seq, self.seen, self.t, self.if_version, self.full)
        payload = repr(content).encode()
        return Update(
            TWIN_KEY,
            self.section,
            self.writer,
            {} if self.bad else self.patch,
            NO_METADATA if metadata == NO_METADATA else metadata,
            payload,
            Delivery(self.packet_id, self.repeated, self.retained),
            0,
            MALFORMED if self.bad else None,
        )


class Appear(NamedTuple):
    """The device's presence, or its last will, arrives."""

    online: bool
    clock: int
    boot: Boot | None = None

    def presence(self) -> Presence:
        """Return it as the wire does."""
        return Presence(self.online, self.boot)


class Delete(NamedTuple):
    """An application deletes the twin."""

    writer: str
    clock: int
    packet_id: int = 0
    repeated: bool = False
    retained: bool = False

    def delivery(self) -> Delivery:
        """Return how it arrived."""
        return Delivery(self.packet_id, self.repeated, self.retained)


class Reload(NamedTuple):
    """The bridge is killed: it goes on with what it has stored, perhaps with another table."""

    table: dict[str, str] | None = None


Step = Send | Appear | Delete | Reload


class History(NamedTuple):
    """A table of policies, and what happens."""

    table: dict[str, str]
    steps: list[Step]
