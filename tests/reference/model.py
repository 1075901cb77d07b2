"""A twin, straight from the design: slow, obvious, and independent of `bridge.core`.

Every message is kept with the stamp that it was given; what is visible is computed from all of
them, from nothing, after each one. Of `bridge.core` only the plain data types of the input are
used. Bounds of the design that no history here reaches are left out, knowingly: the sizes of twins,
16 gaps of a boot, 32 writers, 256 contributions, and the age of tombstones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bridge.core.update import Boot, Delivery, Metadata, Presence, Update
from tests.reference.conflicts import Entry
from tests.reference.merging import Merging
from tests.reference.policies import Key, Path, Table, Write, policy_finder
from tests.reference.receipts import Life, Place, Receipts
from tests.reference.screening import Refused, Screening
from tests.reference.section import Message, ModelSection
from tests.reference.values import outstanding, same

YEAR_2020 = 1_577_836_800_000_000
BOOTS_KEPT = 8
REFUSALS_KEPT = 16
DELIVERIES_KEPT = 16

Refusal = tuple[int, str]
"""Code and error."""


@dataclass
class Answer:
    """What one message comes to.

    Attributes:
        version: The twin's.
        changed: It made a version.
        duplicate: It had come before.
        superseded: None of it took effect.
        refusal: Code and error, where it was refused.
        stamp: What it was given; None where it was given none.
        contested: What the conflict log gains.
    """

    version: int
    changed: bool = False
    duplicate: bool = False
    superseded: bool = False
    refusal: Refusal | None = None
    stamp: int | None = None
    contested: list[Entry] = field(default_factory=list)


class ModelTwin:
    """One twin and all that ever came for it."""

    def __init__(self, device: str, name: str = "", table: Table | None = None) -> None:
        self.device = device
        self.name = name
        self.version = self.at = self.now = 0
        self.exists = False
        self.online: bool | None = None
        self.boots: list[Boot] = []
        self.sections = {
            section: ModelSection(device, policy_finder(table or {}, section))
            for section in ("reported", "desired")
        }
        self.receipts: dict[tuple[str, str], Receipts] = {}
        self.lives_begun = 0
        self.refusals: list[tuple[str, str, int, int, Refusal]] = []
        self.retained: dict[tuple[str, str], bytes] = {}
        self.deliveries: list[tuple[int, str, str, bytes]] = []
        self.turn = 0

    def configure(self, table: Table) -> None:
        """Go on with another table of policies."""
        for name, section in self.sections.items():
            section.configure(policy_finder(table, name))

    def delta(self) -> dict[str, Any]:
        """Return what `reported` lacks of `desired`."""
        return outstanding(self.sections["desired"].visible, self.sections["reported"].visible)

    def update(self, update: Update, clock: int) -> Answer:
        """Take an update."""
        topic = (update.section, update.writer)
        delivery = update.delivery
        if delivery.retained and self.retained.get(topic) == update.payload:
            return Answer(self.version, duplicate=True)
        if update.metadata.seq is None:
            answer = self._unnumbered(update, clock)
        else:
            answer = self._numbered(update, clock, update.metadata.seq)
        if delivery.retained:
            self.retained[topic] = update.payload
        return answer

    def _unnumbered(self, update: Update, clock: int) -> Answer:
        """A message without `seq` is known again only as the broker's own repeat."""
        delivery = (update.delivery.packet_id, update.section, update.writer, update.payload)
        if update.delivery.repeated and self._was_last_delivered(delivery):
            return Answer(self.version, duplicate=True)
        answer = self._new(update, clock, None)
        if update.delivery.packet_id and answer.refusal is None:
            self._delivered(delivery)
        return answer

    def _was_last_delivered(self, delivery: tuple[int, str, str, bytes]) -> bool:
        """A packet id is used again: a repeat is of the last delivery that had it, or of none."""
        same_id = [known for known in self.deliveries if known[0] == delivery[0]]
        return bool(same_id) and same_id[-1] == delivery

    def _delivered(self, delivery: tuple[int, str, str, bytes]) -> None:
        self.deliveries.append(delivery)
        del self.deliveries[:-DELIVERIES_KEPT]

    def _numbered(self, update: Update, clock: int, seq: int) -> Answer:
        boot = update.metadata.boot or 0
        receipts = self.receipts.setdefault((update.section, update.writer), Receipts())
        place = receipts.place(
            boot,
            seq,
            update.payload,
            repeated=update.delivery.repeated,
            begun=self.lives_begun,
        )
        if isinstance(place, Life):
            mine = (update.section, update.writer, place.order, seq)
            known = [refusal for *whose, refusal in self.refusals if tuple(whose) == mine]
            return Answer(self.version, duplicate=True, refusal=known[0] if known else None)
        answer = self._new(update, clock, place)
        self.now = max(self.now + 1, clock) if answer.refusal is not None else self.now
        return answer

    def _new(self, update: Update, clock: int, place: Place | None) -> Answer:
        """Take a message that has not come before."""
        metadata = update.metadata
        section = self.sections[update.section]
        now = max(clock, self.now + 1)
        stamp = self._stamp(section, update, now, place)
        key: Key = (stamp, update.writer, 0, now)
        if place is not None:
            key = (stamp, update.writer, place.life.order, metadata.seq or 0)
        seen = None if metadata.seen is None else min(metadata.seen, self.version)
        self.turn += 1
        message = Message(key, update.patch, metadata.full, seen, self.version, self.turn)
        kept, refusal = self._screen(section, update, message)
        if place is not None:
            self._receive(update, place, stamp, refusal)
        if refusal is not None:
            return Answer(self.version, refusal=refusal, stamp=stamp)
        before = section.visible
        merging = Merging(section, message, kept)
        took_effect = merging.took_effect
        self.now = now
        edited = not same(before, section.visible)
        if not self.exists and (edited or (took_effect and not update.patch)):
            self.exists = edited = True
        came_online = self.online is False and self._is_live_report(update)
        if came_online:
            self.online = True
        changed = edited or (came_online and self.exists)
        if changed:
            self.version += 1
            self.at = now
        if edited:
            section.version = self.version
        superseded = not edited and not took_effect
        return Answer(
            self.version, changed, superseded=superseded, stamp=stamp, contested=merging.entries
        )

    def _stamp(self, section: ModelSection, update: Update, now: int, place: Place | None) -> int:
        """Return the stamp, by the three rules."""
        metadata = update.metadata
        stamp = now
        if metadata.time is not None and YEAR_2020 <= metadata.time <= now:
            stamp = metadata.time
        if metadata.seen is not None:
            if metadata.seen >= self.version:
                stamp = now
            else:
                met = Message((0, "", 0, 0), update.patch, metadata.full, None, 0, 0)
                stamp = max(stamp, section.newest_stamp_met(met, metadata.seen) + 1)
        if place is not None:
            stamp = max(stamp, place.floor)
            if place.ceiling is not None:
                stamp = min(stamp, place.ceiling)
        return stamp

    def _screen(
        self, section: ModelSection, update: Update, message: Message
    ) -> tuple[dict[Path, Write], Refusal | None]:
        wanted = update.metadata.if_version
        if update.refusal is not None:
            return {}, (update.refusal.code, update.refusal.error)
        if wanted is not None and not section.version <= wanted <= self.version:
            return {}, (409, "version_mismatch")
        try:
            return Screening(section, message).kept, None
        except Refused as refused:
            return {}, (refused.code, refused.error)

    def _receive(self, update: Update, place: Place, stamp: int, refusal: Refusal | None) -> None:
        """Enter a message among its writer's, refused or not."""
        boot, seq = update.metadata.boot or 0, update.metadata.seq or 0
        receipts = self.receipts[update.section, update.writer]
        receipts.record(place, seq, stamp, update.payload)
        if place.begins:
            self.lives_begun = place.life.order
        if refusal is not None:
            self.refusals.append((update.section, update.writer, place.life.order, seq, refusal))
            del self.refusals[:-REFUSALS_KEPT]
        elif update.metadata.full and update.section == "reported":
            receipts.close_gaps(place.life, seq)
        if place.begins and update.section == "reported" and not self.name:
            self._note_boot(boot)

    def _note_boot(self, boot: Boot) -> None:
        if boot not in self.boots:
            self.boots.append(boot)
            del self.boots[:-BOOTS_KEPT]

    def _is_live_report(self, update: Update) -> bool:
        if update.section != "reported" or update.delivery.retained or self.name:
            return False
        boot = update.metadata.boot
        return boot is None or boot not in self.boots or boot == self.boots[-1]

    def presence(self, presence: Presence, clock: int) -> Answer:
        """Take a presence; that of a connection already replaced is ignored."""
        boot = presence.boot
        is_old = boot is not None and boot in self.boots and boot != self.boots[-1]
        if is_old and not presence.online:
            return Answer(self.version, superseded=True)
        if boot is not None:
            self._note_boot(boot)
        if self.online is presence.online:
            return Answer(self.version)
        self.online = presence.online
        self.now = max(clock, self.now + 1)
        if not self.exists:
            return Answer(self.version)
        self.version += 1
        self.at = self.now
        return Answer(self.version, changed=True)

    def delete(self, writer: str, clock: int, payload: bytes, delivery: Delivery) -> Answer:
        """Take a deletion: a removal of both sections, of which nothing older is left."""
        topic = ("delete", writer)
        known = (delivery.packet_id, *topic, payload)
        if delivery.retained and self.retained.get(topic) == payload:
            return Answer(self.version, duplicate=True)
        if delivery.repeated and self._was_last_delivered(known):
            return Answer(self.version, duplicate=True)
        if not self.exists:
            return Answer(self.version, refusal=(404, "no_such_twin"))
        if delivery.retained:
            self.retained[topic] = payload
        if delivery.packet_id:
            self._delivered(known)
        self.now = self.at = max(clock, self.now + 1)
        self.version += 1
        self.exists = False
        self.online = None
        for section in self.sections.values():
            section.forget({(): ((self.now, writer, 0, self.now), self.version, writer)})
            section.version = self.version
        return Answer(self.version, changed=True, stamp=self.now)


NO_METADATA = Metadata()
