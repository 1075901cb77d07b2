"""Bringing a section of a twin back to what it was: an update like any other."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from bridge.api.acting import Actor, act
from bridge.api.administration import Administration
from bridge.api.past import Answer, find_existing, load, present
from bridge.api.points import point_text
from bridge.api.problems import RequestRefused
from bridge.core.cell import without_aggregates
from bridge.core.difference import difference
from bridge.core.reconcile import Outcome
from bridge.core.section import JsonObject
from bridge.core.timeline import Moment, Point, patches_to
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, SectionName, Update


async def roll_back(
    administration: Administration,
    key: TwinKey,
    point: Point,
    section: SectionName,
    writer: str,
    now: int,
    actor: Actor,
) -> Answer:
    """Lead a section of a twin to what it was at a point.

    The past stays as it is: the update leads from the present section to that of then, and makes a
    new version. It names the present version as `seen` and as `if`: whoever changes the section in
    between is not overwritten, and the rollback is refused with a 409.

    Args:
        administration: The holder of the store.
        key: The twin. One that was deleted is made anew.
        point: Where to go back to.
        section: What of it.
        writer: Whose update it is.
        now: The time, in µs since the epoch.
        actor: Who asks for it, for the audit trail.

    Raises:
        RequestProblem: There is no such twin, it did not exist then, or that is not known any more.
        RequestRefused: The update was refused, as one of MQTT would have been.
        StoreError: Nothing took effect.
    """
    wanted = _of(await find_existing(administration, key, point, now), section)
    moment = present(await load(administration, key))
    outcome = Outcome(moment.version)
    rules = administration.policies.rules(key, section)
    patches = [
        patch
        for whole in patches_to(_of(moment, section), wanted)
        # Written by the operator, a total of then would be added to those of now.
        if (patch := without_aggregates(whole, rules))
    ]
    for update in _updates(key, section, writer, patches, moment.version):
        done = act(
            actor, "twin.rollback", str(key), to=point_text(point), section=section, writer=writer
        )
        outcome = await administration.apply(key, update, done)
        if outcome.refusal is not None:
            raise RequestRefused(outcome.refusal)
    return {
        "device": key.device,
        "name": key.name,
        "section": section,
        "version": outcome.version,
        "changed": outcome.changed,
        "superseded": outcome.superseded,
        "patch": patches[-1] if patches else {},
        "remaining": await _remaining(administration, key, section, wanted, outcome.version),
    }


def _of(moment: Moment, section: SectionName) -> JsonObject:
    return moment.reported if section == "reported" else moment.desired


def _updates(
    key: TwinKey, section: SectionName, writer: str, patches: Iterable[JsonObject], version: int
) -> Iterable[Update]:
    metadata = Metadata(seen=version, if_version=version)
    for patch in patches:
        payload = orjson.dumps({**patch, "$": {"seen": version, "if": version}})
        yield Update(key, section, writer, patch, metadata, payload, size_bytes=len(payload))


async def _remaining(
    administration: Administration,
    key: TwinKey,
    section: SectionName,
    wanted: JsonObject,
    version: int,
) -> JsonObject:
    """Return what the section still lacks, because a policy keeps something else there."""
    moment = present(await load(administration, key))
    if moment.version != version:
        # Somebody has gone on meanwhile; what differs now is not the rollback's.
        return {}
    return difference(_of(moment, section), wanted)[0]
