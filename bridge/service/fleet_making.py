"""Makes a fleet change out of an order: which devices it is for, and whether it is allowed."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import orjson

from bridge.api.fleet_changes import FleetOrder, refused
from bridge.api.problems import RequestRefused
from bridge.core.access import forbidden_path
from bridge.core.fleet_change import FleetChange
from bridge.core.fleet_plan import TARGETS_MAX
from bridge.core.limits import Limits
from bridge.core.paths import path_text
from bridge.core.permissions import Permissions
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.query.language import parse_where
from bridge.service.fleet_record import write_plan
from bridge.store.base import Store
from bridge.store.fleet_changes import StoredFleetChange
from bridge.wire.inbound import decode_body

TWINS_PER_PAGE: Final = 5000
"""Twins that a query finds at once; each page has the time of a whole query."""

PLANNED: Final = "planned"
"""Status of what was only asked for with `dry_run`."""

_ID_BYTES: Final = 4
_SHOWN_CHARACTERS: Final = 200


def check_patch(patch: JsonObject, limits: Limits) -> bytes:
    """Return a patch as JSON, held against what an application may send.

    Raises:
        RequestRefused: It is not allowed.
    """
    payload = orjson.dumps(patch)
    refusal = decode_body(payload, limits).refusal
    if refusal is None and "$" in patch:
        refusal = Refusal(400, "bad_request", "`patch` has no `$`: a fleet change numbers itself")
    if refusal is not None:
        raise RequestRefused(refusal)
    return payload


def find_targets(store: Store, order: FleetOrder, permissions: Permissions | None) -> list[TwinKey]:
    """Return the twins that an order is for.

    With permissions, only those of which its principal may read everything: whether a query finds
    a twin tells of what is in it.

    Raises:
        QueryError: The query cannot be understood, or takes too long.
        RequestRefused: It finds none, or too many, or the patch may not be written to one of them.
    """
    term = parse_where(order.where)
    found: list[TwinKey] = []
    after: TwinKey | None = None
    while page := store.find(term, after, TWINS_PER_PAGE):
        after = page[-1][0]
        for key, state in page:
            if permissions is None or _may_write(key, state, order, permissions):
                found.append(key)
        if len(found) > TARGETS_MAX:
            raise refused(
                422,
                "too_many_devices",
                f"the query finds more than {TARGETS_MAX} devices: ask for fewer, and make several "
                "changes",
            )
    if not found:
        raise refused(422, "no_devices", "the query finds no device")
    return found


def _may_write(key: TwinKey, state: bytes, order: FleetOrder, permissions: Permissions) -> bool:
    access = permissions.access(order.principal, key)
    if not access.reads_all:
        return False
    grant = access.grant("desired", "write")
    if grant.is_whole:
        return True
    path = forbidden_path(grant, orjson.loads(state)["desired"], order.patch, full=False)
    if path is not None:
        text = path_text(("desired", *path))[:_SHOWN_CHARACTERS]
        raise RequestRefused(
            Refusal(
                403,
                "forbidden",
                f"{order.principal} may not write {text} of {key}, so nothing was begun: "
                "`syncbridge permissions explain` says why",
            )
        )
    return True


def make_change(
    order: FleetOrder, patch: bytes, found: list[TwinKey], now_us: int
) -> tuple[StoredFleetChange, list[TwinKey]]:
    """Return a change that has not begun, and its devices in the order in which they are written.

    The order is by a hash: the first stage is a sample of the fleet, and not what comes first in
    the alphabet.
    """
    change_id = secrets.token_hex(_ID_BYTES)
    salt = change_id.encode()
    keys = sorted(found, key=lambda key: hashlib.blake2b(str(key).encode(), salt=salt).digest())
    progress = FleetChange(order.plan, ["pending"] * len(keys)).progress
    row = StoredFleetChange(
        change_id,
        now_us,
        order.principal,
        order.judged,
        order.where,
        patch,
        write_plan(order.plan),
        len(keys),
        PLANNED if order.dry_run else "running",
        0,
        0,
        "",
        orjson.dumps(progress),
        1,
        now_us,
    )
    return row, keys
