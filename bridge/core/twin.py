"""The twin: one device's document, and all that reconciling the next update needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bridge.core.delivery_digest import DIGEST_BYTES, PACKET_ID_BYTES
from bridge.core.delta import outstanding
from bridge.core.limits import (
    DELIVERIES_PER_TWIN,
    REFUSALS_PER_TWIN,
    RETAINED_DIGESTS_PER_TWIN,
    WRITERS_PER_TWIN,
)
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject, Section
from bridge.core.topics import TwinKey
from bridge.core.update import Boot, SectionName
from bridge.core.writers import Writer

WriterKey = tuple[SectionName, str]
"""A writer's messages are numbered on each topic: the section, and who writes it."""

RefusalKey = tuple[SectionName, str, int, int]
"""Section, writer, order of the boot, and seq of a refused message."""

TopicKey = tuple[str, str]
"""An inbound topic of the twin: its section, or `delete`, and who writes there."""

_DELIVERIES_BEFORE: Final = -DIGEST_BYTES * (DELIVERIES_PER_TWIN - 1)

_NO_REFUSALS: Final[Mapping[RefusalKey, Refusal]] = MappingProxyType({})
_NONE_RETAINED: Final[Mapping[TopicKey, bytes]] = MappingProxyType({})


class Twin:
    """One document with its registers. Changed in place by `bridge.core.reconcile` only.

    Args:
        key: Device and name.
        policies: Which conflict policy holds where.

    Attributes:
        key: Device and name.
        version: +1 for each change, never used again; 0 before the first.
        exists: False before the first report and after a deletion.
        at: The bridge's time of `version`, in µs since the epoch.
        now: The last `now` used for this twin, in µs; it never goes back.
        horizon: Highest version of which something has been forgotten.
        reported: What the device says.
        desired: What applications want.
        online: The device's presence; None before the first.
        boots: The device's boots in order of first arrival, the newest last (for presence).
        writers: Writers that send `seq`, the most recent last.
        refusals: The last refusals of messages with `seq`, the newest last.
        retained: Topic -> digest of the last message on it that came flagged RETAIN.
        deliveries: Digests of the last deliveries of messages without `seq`, the newest last, one
            after the other: as objects of their own they would take as long as all the rest.
        last_seen: When the device was last heard, in µs.
        bytes_at_most: Upper bound of its size as JSON; exact after each publication.
        keys_at_most: Upper bound of its fields.
        boots_begun: The highest order that a boot of any writer was ever given.
        cells_at_most: Upper bound of what policies keep of it, in bytes; None: it is not known.
    """

    __slots__ = (
        "at",
        "boots",
        "boots_begun",
        "bytes_at_most",
        "cells_at_most",
        "deliveries",
        "desired",
        "exists",
        "horizon",
        "key",
        "keys_at_most",
        "last_seen",
        "now",
        "online",
        "refusals",
        "reported",
        "retained",
        "version",
        "writers",
    )

    def __init__(self, key: TwinKey, policies: Policies = NO_POLICIES) -> None:
        self.key = key
        self.version = 0
        self.exists = False
        self.at = 0
        self.now = 0
        self.horizon = 0
        self.reported = Section(policies.rules(key, "reported"))
        self.desired = Section(policies.rules(key, "desired"))
        self.online: bool | None = None
        self.boots: list[Boot] = []
        self.boots_begun = 0
        self.writers: dict[WriterKey, Writer] = {}
        # Most twins have none of these. They are replaced whole, so that these twins can share.
        self.refusals: Mapping[RefusalKey, Refusal] = _NO_REFUSALS
        self.retained: Mapping[TopicKey, bytes] = _NONE_RETAINED
        self.deliveries = b""
        self.last_seen = 0
        self.bytes_at_most = 0
        self.keys_at_most = 0
        self.cells_at_most: int | None = None

    def section(self, name: SectionName) -> Section:
        """Return the section of this name."""
        return self.reported if name == "reported" else self.desired

    def writer(self, key: WriterKey) -> Writer:
        """Return what is remembered of a writer, as the most recent; the least recent may go."""
        writer = self.writers.pop(key, None) or Writer()
        self.writers[key] = writer
        if len(self.writers) > WRITERS_PER_TWIN:
            del self.writers[next(iter(self.writers))]
        return writer

    def open_gaps(self) -> tuple[Boot, list[tuple[int, int]]] | None:
        """Return the boot and the numbers of reports that the device sent and that never came."""
        writer = self.writers.get(("reported", self.key.device))
        return None if writer is None else writer.open_gaps()

    def forget_writer(self, writer: str, section: SectionName | None = None) -> bool:
        """Forget which messages of a writer have come; tells whether anything was known.

        Its next message begins anew, whatever its number. What it has written stays.
        """
        known = [key for key in self.writers if key[1] == writer and section in (None, key[0])]
        for key in known:
            del self.writers[key]
        self.refusals = {key: why for key, why in self.refusals.items() if key[:2] not in known}
        return bool(known)

    def remember_delivery(self, digest: bytes) -> None:
        """Keep the digest of a delivery that was processed; the oldest goes."""
        self.deliveries = self.deliveries[_DELIVERIES_BEFORE:] + digest

    def knows_delivery(self, digest: bytes) -> bool:
        """Tell whether a delivery was processed lately.

        A broker may use a packet id again at once: only the last delivery that had it can be the
        one that is repeated.
        """
        known, packet_id = self.deliveries, digest[:PACKET_ID_BYTES]
        for start in range(len(known) - DIGEST_BYTES, -1, -DIGEST_BYTES):
            if known.startswith(packet_id, start):
                return known.startswith(digest, start)
        return False

    def remember_retained(self, key: TopicKey, digest: bytes) -> None:
        """Keep the digest of the last message that came flagged RETAIN on this topic."""
        retained = {topic: known for topic, known in self.retained.items() if topic != key}
        retained[key] = digest
        if len(retained) > RETAINED_DIGESTS_PER_TWIN:
            del retained[next(iter(retained))]
        self.retained = retained

    def remember_refusal(self, key: RefusalKey, refusal: Refusal) -> None:
        """Keep why a message was refused, so that a repeat is refused alike; the oldest goes."""
        refusals = {**self.refusals, key: refusal}
        if len(refusals) > REFUSALS_PER_TWIN:
            del refusals[next(iter(refusals))]
        self.refusals = refusals

    def document(self) -> JsonObject:
        """Return the merged twin as it stands on `state`; it shares the sections' objects."""
        document: JsonObject = {
            "version": self.version,
            "at": self.at,
            "reported": self.reported.value,
            "desired": self.desired.value,
        }
        if self.online is not None:
            document["online"] = self.online
        return document

    def delta(self) -> JsonObject:
        """Return what `reported` still lacks of `desired`; it shares objects with `desired`."""
        return outstanding(self.desired.value, self.reported.value)
