"""What goes out: states, deltas and replies as bytes."""

from __future__ import annotations

from typing import NamedTuple

from bridge.core.access import Access, readable
from bridge.core.described import describe
from bridge.core.reconcile import Outcome
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.since import changes_since
from bridge.core.twin import Twin
from bridge.core.update import SECTIONS
from bridge.wire import json_codec, msgpack_codec
from bridge.wire.inbound import Encoding, GetRequest

CONTENT_TYPES: dict[Encoding, str] = {
    "json": "application/json",
    "msgpack": "application/msgpack",
}


def encode(value: JsonObject, encoding: Encoding) -> bytes:
    """Encode an object."""
    return json_codec.encode(value) if encoding == "json" else msgpack_codec.encode(value)


def state_json(twin: Twin) -> bytes:
    """Return the merged twin as it is retained on `state`."""
    return json_codec.encode(twin.document())


def delta_json(twin: Twin, delta: JsonObject) -> bytes:
    """Return the delta as it is retained on `delta`."""
    return json_codec.encode({"version": twin.version, "at": twin.at, "state": delta})


def as_msgpack(document: bytes) -> bytes:
    """Return a JSON document that the bridge has made as msgpack."""
    return msgpack_codec.encode(json_codec.parse(document))


def answer(outcome: Outcome, request_id: str | None, now: int) -> JsonObject:
    """Return the reply to an update or a deletion; `now` is the bridge's clock, in µs."""
    if outcome.refusal is not None:
        return refusal_answer(outcome.refusal, request_id, outcome.version)
    head: JsonObject = {} if request_id is None else {"id": request_id}
    head |= {"ok": True, "version": outcome.version, "changed": outcome.changed, "now": now}
    if outcome.duplicate:
        head["duplicate"] = True
    if outcome.superseded:
        head["superseded"] = True
    return {"$": head}


class Later(NamedTuple):
    """When what was refused may be sent again.

    Attributes:
        retry_after_s: After this time.
        messages_per_s: And from then on not faster than this.
    """

    retry_after_s: float
    messages_per_s: float


def refusal_answer(
    refusal: Refusal,
    request_id: str | None,
    version: int | None = None,
    later: Later | None = None,
) -> JsonObject:
    """Return the reply that refuses a request.

    Args:
        refusal: Why.
        request_id: `$.id`, if there was one.
        version: The twin's, where it is known.
        later: When it may be sent again, where that is known.
    """
    head: JsonObject = {} if request_id is None else {"id": request_id}
    head |= {
        "ok": False,
        "code": refusal.code,
        "error": refusal.error,
        "message": refusal.message,
    }
    if version is not None:
        head["version"] = version
    if later is not None:
        head |= later._asdict()
    return {"$": head}


def twin_answer(
    twin: Twin,
    request: GetRequest,
    request_id: str | None,
    last_seen: int,
    access: Access | None = None,
) -> JsonObject:
    """Return the reply to a `get`: the whole twin, or what changed since the version asked for.

    Args:
        twin: It exists.
        request: What was asked for.
        request_id: `$.id`, if there was one.
        last_seen: When the device was last heard, in µs; 0 if never.
        access: What the requester may read; None for everything. Who may not read everything is
            given the whole of what it may read, also where it asks for changes: those of an object
            of which it may read a part only would tell of the rest.
    """
    head: JsonObject = {} if request_id is None else {"id": request_id}
    head |= {"ok": True, "version": twin.version}
    changes = None
    is_current = request.since == twin.version
    if request.since is not None and (is_current or access is None or access.reads_all):
        changes = changes_since(twin, request.since)
    body = _shown(twin, access)
    del body["version"]
    if changes is None:
        head["full"] = True
    else:
        head["since"] = request.since
        body["reported"], body["desired"] = changes
        if is_current:
            del body["reported"], body["desired"]
    if last_seen:
        body["last_seen"] = last_seen
    if request.meta:
        body["meta"] = _described(twin, access)
    return {"$": head, **body}


def _shown(twin: Twin, access: Access | None) -> JsonObject:
    """Return what may be read of the merged twin."""
    body = twin.document()
    if access is not None:
        for section in SECTIONS:
            body[section] = readable(access.grant(section, "read"), twin.section(section).value)
    return body


def _described(twin: Twin, access: Access | None) -> JsonObject:
    """Return what is known of every field that may be read."""
    meta: JsonObject = {}
    for name in SECTIONS:
        section = twin.section(name)
        known = describe(section)
        if access is not None:
            known = readable(access.grant(name, "read"), section.value, known)
        meta[name] = known
    return meta
