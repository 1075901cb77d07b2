"""Reconciling: what one message does to one twin.

Each function takes the twin, what arrived and the bridge's clock, changes the twin in place, and
returns what should happen outside. Where the outcome is refused, nothing visible has changed, but
perhaps the memory of the refusal. A caller that cannot commit an outcome throws the twin away and
loads it again.

Stamps are given once, here; merging is `bridge.core.tree`.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from bridge.core.bounds import apply_within_limits, expire_tombstones
from bridge.core.conflict import Conflict
from bridge.core.delivery_digest import delivery_digest
from bridge.core.difference import copy_object
from bridge.core.limits import (
    BOOTS_PER_WRITER,
    Limits,
)
from bridge.core.met import newest_stamp_met
from bridge.core.refusal import Refusal
from bridge.core.screen import Screening
from bridge.core.section import JsonObject, Key, Section
from bridge.core.stamp import next_now, stamp_of
from bridge.core.tree import NOTHING_KEPT, Merge
from bridge.core.twin import TopicKey, Twin
from bridge.core.update import (
    FRESH,
    NO_METADATA,
    Boot,
    Delivery,
    Metadata,
    Presence,
    Update,
)
from bridge.core.writers import Place, Writer

DIGEST_BYTES = 8
"""Enough to tell a writer's own repeat from another message; not a protection against forgery."""


_BOOT_CLOSED = Refusal(
    401,
    "boot_closed",
    "this boot was closed, and sealed boots do not come back: begin a new one, with seq 1",
)


class Change(NamedTuple):
    """A visible change, for the history.

    Attributes:
        version: The version that it made.
        at: The bridge's time, in µs.
        stamp: The stamp of the update, in µs.
        writer: Who made it.
        section: reported, desired, or twin for a deletion.
        forward: Merge patch from before to after; None for a deletion.
        backward: Merge patch back; for a deletion both sections as they were.
    """

    version: int
    at: int
    stamp: int
    writer: str
    section: str
    forward: JsonObject | None
    backward: JsonObject


class Outcome(NamedTuple):
    """What should happen after one message.

    Attributes:
        version: The twin's version, for the reply.
        changed: There is a new version: publish the twin.
        store: Something is to be committed, be it only the memory of a repeat.
        refusal: Why the message was refused, or None.
        duplicate: It had been received before.
        superseded: None of it took effect: all that it names is newer.
        change: The row for the history, or None.
        clear: The twin was deleted: clear its retained topics.
        conflicts: Concurrent writes that do not stand, this one's or others'.
        open_gap: Reports of the device are missing.
    """

    version: int
    changed: bool = False
    store: bool = False
    refusal: Refusal | None = None
    duplicate: bool = False
    superseded: bool = False
    change: Change | None = None
    clear: bool = False
    conflicts: tuple[Conflict, ...] = ()
    open_gap: bool = False


def reconcile(twin: Twin, update: Update, clock: int, limits: Limits) -> Outcome:
    """Merge an update into its twin.

    Args:
        twin: The twin, changed in place.
        update: What arrived.
        clock: The bridge's clock, in µs since the epoch.
        limits: Bounds on the twin.
    """
    if not update.delivery.retained:
        return _reconcile_delivered(twin, update, clock, limits)
    topic = (update.section, update.writer)
    if _is_known_retained(twin, topic, update.payload):
        return Outcome(twin.version, duplicate=True)
    outcome = _reconcile_delivered(twin, update, clock, limits)
    twin.remember_retained(topic, _digest(update.payload))
    return outcome._replace(store=True)


def _reconcile_delivered(twin: Twin, update: Update, clock: int, limits: Limits) -> Outcome:
    """Reconcile a message, unless it has been received before."""
    metadata = update.metadata
    if metadata.seq is None or metadata.boot is None:
        return _reconcile_plain(twin, update, clock, limits)
    return _reconcile_numbered(twin, update, clock, limits, metadata.boot, metadata.seq)


def _reconcile_plain(twin: Twin, update: Update, clock: int, limits: Limits) -> Outcome:
    """Reconcile a message without `seq`; only the broker's own repeat of it is known as one."""
    delivery = update.delivery
    if not delivery.packet_id:
        return _reconcile_new(twin, update, clock, limits, None)
    digest = delivery_digest(update.section, update.writer, delivery.packet_id, update.payload)
    if delivery.repeated and twin.knows_delivery(digest):
        return Outcome(twin.version, duplicate=True)
    outcome = _reconcile_new(twin, update, clock, limits, None)
    if outcome.store:
        twin.remember_delivery(digest)
    return outcome


def _reconcile_numbered(
    twin: Twin, update: Update, clock: int, limits: Limits, boot: Boot, seq: int
) -> Outcome:
    writer = twin.writers.get((update.section, update.writer)) or Writer()
    place = writer.locate(
        boot,
        seq,
        lambda: _digest(update.payload),
        repeated=update.delivery.repeated,
        boots_begun=twin.boots_begun,
    )
    if place.duplicate:
        refusal = twin.refusals.get((update.section, update.writer, place.order, seq))
        return Outcome(twin.version, duplicate=True, refusal=refusal)
    if update.boot_is_known and place.record is None:
        return Outcome(twin.version, refusal=_BOOT_CLOSED)
    return _reconcile_new(twin, update, clock, limits, place)


def _reconcile_new(
    twin: Twin, update: Update, clock: int, limits: Limits, place: Place | None
) -> Outcome:
    """Reconcile a message that has not been received before."""
    now = next_now(clock, twin.now)
    section = twin.reported if update.section == "reported" else twin.desired
    stamp, refusal = now, update.refusal
    if update.metadata is not NO_METADATA:
        stamp = _stamp(twin, section, update, now, place)
        refusal = refusal or _refusal_by_version(twin, section, update.metadata)
    merged = refusal or _merged(twin, section, update, place, stamp, now, limits)
    refusal = merged if isinstance(merged, Refusal) else None
    if place is not None:
        _remember(twin, update, place, stamp, refusal)
    if isinstance(merged, Refusal):
        if place is not None:
            twin.now = now
        return Outcome(twin.version, store=place is not None, refusal=merged)
    twin.now = now
    if twin.reported.tombstones or twin.desired.tombstones:
        expire_tombstones(twin, now, limits)
    outcome = _conclude(twin, section, update, merged, now, stamp)
    if place is not None and update.section == "reported" and twin.open_gaps() is not None:
        return outcome._replace(open_gap=True)
    return outcome


def _merged(
    twin: Twin,
    section: Section,
    update: Update,
    place: Place | None,
    stamp: int,
    now: int,
    limits: Limits,
) -> Merge | Refusal:
    """Merge an update into its section, unless a policy, its model or a limit refuses it."""
    metadata, device = update.metadata, twin.key.device
    key: Key = (
        (stamp, update.writer, 0, now)
        if place is None
        else (stamp, update.writer, place.order, metadata.seq or 0)
    )
    seen = None if metadata.seen is None else min(metadata.seen, twin.version)
    kept = NOTHING_KEPT
    if section.rules is not None:
        screening = Screening(section, update.section, key, seen, device)
        screening.look_at(update.patch, full=metadata.full)
        if screening.refusal is not None:
            return screening.refusal
        kept = screening.kept
    merge = Merge(section, key, twin.version, now, seen=seen, device=device, kept=kept)
    model = section.model
    if model is not None:
        after = merge.preview(update.patch, full=metadata.full).value
        refusal = model.refusal(section.value, after)
        if refusal is not None:
            return refusal
    return apply_within_limits(twin, merge, update, limits) or merge


def _stamp(twin: Twin, section: Section, update: Update, now: int, place: Place | None) -> int:
    metadata = update.metadata
    seen = metadata.seen
    if seen is None and metadata.time is None and (place is None or place.ceiling is None):
        return now  # It is above every stamp that has been given, and so above the floor.
    newest_met = 0
    if seen is not None and seen < twin.version:
        newest_met = newest_stamp_met(section, update.patch, seen, full=metadata.full)
    return stamp_of(
        now,
        time=metadata.time,
        seen_is_current=seen is not None and seen >= twin.version,
        newest_met=newest_met,
        floor=0 if place is None else place.floor,
        ceiling=None if place is None else place.ceiling,
    )


def _refusal_by_version(twin: Twin, section: Section, metadata: Metadata) -> Refusal | None:
    wanted = metadata.if_version
    if wanted is None or section.version <= wanted <= twin.version:
        return None
    return Refusal(
        409,
        "version_mismatch",
        f"the section last changed at version {section.version} and the twin is at "
        f"{twin.version}, but $.if is {wanted}: get the twin, and decide again",
    )


def _remember(
    twin: Twin, update: Update, place: Place, stamp: int, refusal: Refusal | None
) -> None:
    """Enter the message among its writer's: it counts as received, refused or not."""
    boot, seq = update.metadata.boot, update.metadata.seq
    if boot is None or seq is None:
        return
    if refusal is not None:
        twin.remember_refusal((update.section, update.writer, place.order, seq), refusal)
    writer = twin.writer((update.section, update.writer))
    writer.record(
        place,
        boot,
        seq,
        stamp,
        lambda: _digest(update.payload),
        full=update.metadata.full and refusal is None and update.section == "reported",
    )
    if place.record is None:
        twin.boots_begun = place.order
        if update.section == "reported" and not twin.key.name:
            _note_boot(twin, boot)


def _conclude(
    twin: Twin, section: Section, update: Update, merge: Merge, now: int, stamp: int
) -> Outcome:
    """Make a version of it, if anything visible changed."""
    forward = merge.forward
    created = not twin.exists and (bool(forward) or (merge.took_effect and not update.patch))
    came_online = twin.online is False and _is_live_report(twin, update)
    if came_online:
        twin.online = True
    if update.section == "reported" and update.writer == twin.key.device:
        twin.last_seen = now
    twin.exists = twin.exists or created
    edited = created or bool(forward)
    changed = edited or (came_online and twin.exists)
    if changed:
        twin.version += 1
        twin.at = now
    change = None
    if edited:
        section.version = twin.version
        change = Change(
            twin.version, now, stamp, update.writer, update.section, forward, merge.backward
        )
    superseded = not (edited or merge.took_effect)
    conflicts = tuple(merge.conflicts)
    # By place: names would cost as much as all the rest of this.
    return Outcome(twin.version, changed, True, None, False, superseded, change, False, conflicts)


def _is_live_report(twin: Twin, update: Update) -> bool:
    """A report of the device itself makes one that uses presence online, unless it is old."""
    if update.section != "reported" or update.delivery.retained or twin.key.name:
        return False
    if update.writer != twin.key.device:
        return False
    boot = update.metadata.boot
    return boot is None or boot not in twin.boots or twin.boots[-1] == boot


def reconcile_presence(twin: Twin, presence: Presence, clock: int) -> Outcome:
    """Take a device's presence into its unnamed twin.

    An `offline` of a boot that is older than the newest known one is ignored: it is the last will
    of a connection that has been replaced. A twin is never created by it.
    """
    boot = presence.boot
    known_boot = boot is None or boot in twin.boots
    if not presence.online and known_boot and boot is not None and twin.boots[-1] != boot:
        return Outcome(twin.version, superseded=True)
    if twin.online is presence.online and known_boot:
        return Outcome(twin.version)
    if boot is not None:
        _note_boot(twin, boot)
    if twin.online is presence.online:
        return Outcome(twin.version, store=True)
    twin.now = next_now(clock, twin.now)
    twin.online = presence.online
    if presence.online:
        twin.last_seen = twin.now
    if not twin.exists:
        return Outcome(twin.version, store=True)
    twin.version += 1
    twin.at = twin.now
    return Outcome(twin.version, changed=True, store=True)


def _note_boot(twin: Twin, boot: Boot) -> None:
    """Keep the device's boots in order of first arrival."""
    if boot not in twin.boots:
        twin.boots.append(boot)
        del twin.boots[:-BOOTS_PER_WRITER]


def delete(
    twin: Twin, writer: str, clock: int, payload: bytes = b"", delivery: Delivery = FRESH
) -> Outcome:
    """Delete a twin; its version, and what is remembered of its writers, stay."""
    topic = ("delete", writer)
    digest = delivery_digest("delete", writer, delivery.packet_id, payload)
    if delivery.retained and _is_known_retained(twin, topic, payload):
        return Outcome(twin.version, duplicate=True)
    if delivery.repeated and twin.knows_delivery(digest):
        return Outcome(twin.version, duplicate=True)
    if not twin.exists:
        return Outcome(twin.version, refusal=no_such_twin(twin))
    if delivery.retained:
        twin.remember_retained(topic, _digest(payload))
    if delivery.packet_id:
        twin.remember_delivery(digest)
    now = next_now(clock, twin.now)
    backward: JsonObject = {
        "reported": copy_object(twin.reported.value),
        "desired": copy_object(twin.desired.value),
    }
    twin.version += 1
    twin.at = twin.now = now
    twin.exists = False
    twin.online = None
    twin.horizon = twin.version
    twin.bytes_at_most = twin.keys_at_most = 0
    for section in (twin.reported, twin.desired):
        section.clear((now, writer, 0, now, twin.version, writer), twin.version)
    change = Change(twin.version, now, now, writer, "twin", None, backward)
    return Outcome(twin.version, changed=True, store=True, change=change, clear=True)


def no_such_twin(twin: Twin) -> Refusal:
    """Return the refusal for a request that needs the twin to exist."""
    what = "does not exist" if twin.reported.root is None else "has been deleted"
    return Refusal(
        404, "no_such_twin", f"twin {str(twin.key)!r} {what}: a report or a desire creates it"
    )


def _is_known_retained(twin: Twin, topic: TopicKey, payload: bytes) -> bool:
    return twin.retained.get(topic) == _digest(payload)


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
