"""From a request to an order for the pipeline, and from its outcome to an answer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import jsonpatch
import orjson
from jsonpointer import JsonPointerException

from bridge.api.acting import Actor, act
from bridge.api.problems import RequestProblem, RequestRefused
from bridge.core.difference import difference
from bridge.core.limits import Limits
from bridge.core.orders import Deletion
from bridge.core.reconcile import Outcome
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, SectionName, Update
from bridge.http.backend import Backend
from bridge.http.reading import Answer, access_of, forbid, load_view
from bridge.wire.inbound import decode_body

JSON_PATCH: Final = "application/json-patch+json"

OPERATIONS: Final = 1000
"""Operations in one JSON Patch."""

TRIES: Final = 5
"""How often a JSON Patch is applied anew to a section that changes meanwhile."""

_TAKEN: Final = frozenset(
    {
        "", "application/json", "application/merge-patch+json", "application/msgpack",
        "application/x-msgpack", "application/vnd.msgpack", "application/octet-stream",
        # What clients say that were told nothing; the first byte tells what it is.
        "application/x-www-form-urlencoded", "text/plain",
    }
)  # fmt: skip


def media_type_of(header: str | None) -> str:
    """Return the media type of a `Content-Type`, without parameters; empty where there is none."""
    return (header or "").partition(";")[0].strip().lower()


def check_media_type(media_type: str) -> None:
    """Refuse a body that says it is something else than an object.

    Raises:
        RequestProblem: So it is.
    """
    if media_type not in _TAKEN:
        raise RequestProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"{media_type[:80]} is not taken",
            hint="send application/merge-patch+json, application/json-patch+json, "
            "application/json or application/msgpack",
        )


def decode_patch(body: bytes, limits: Limits) -> tuple[JsonObject, Metadata, int]:
    """Return the patch in a body, what stood in its `$`, and its size without wrappers.

    Raises:
        RequestRefused: It is none, or beyond the limits.
    """
    decoded = decode_body(body, limits)
    if decoded.refusal is not None:
        raise RequestRefused(decoded.refusal)
    return decoded.state, decoded.metadata, decoded.size_bytes


async def write_section(
    backend: Backend,
    principal: str,
    key: TwinKey,
    section: SectionName,
    body: bytes,
    *,
    full: bool = False,
    if_match: int | None = None,
) -> Answer:
    """Change a section as a message would.

    Args:
        backend: Carries it out.
        principal: Who writes.
        key: The twin.
        section: What of it.
        body: A merge patch, perhaps with `$`, or the whole section.
        full: It is the whole section.
        if_match: The section must not have changed since this version.

    Raises:
        RequestRefused: It was refused, as one of MQTT would have been.
        RequestProblem: It came with `If-Match`, and the section has changed.
        StoreError: Nothing took effect.
    """
    patch, metadata, size_bytes = decode_patch(body, backend.limits)
    if full:
        metadata = metadata._replace(full=True)
    if if_match is not None:
        metadata = metadata._replace(if_version=if_match)
    order = Update(key, section, principal, patch, metadata, body, size_bytes=size_bytes)
    return await _write(backend, principal, order, matched=if_match is not None)


async def patch_section(
    backend: Backend,
    principal: str,
    key: TwinKey,
    section: SectionName,
    body: bytes,
    *,
    if_match: int | None = None,
) -> Answer:
    """Apply a JSON Patch (RFC 6902) to a section.

    It is turned into the merge patch that leads to the same, and is written only where the section
    is still what it was applied to; otherwise it is applied anew.

    Raises:
        RequestRefused: It was refused, as one of MQTT would have been.
        RequestProblem: It is no JSON Patch, cannot be applied, or the section has changed.
        StoreError: Nothing took effect.
    """
    operations = _operations(body)
    access = access_of(backend, principal, key)
    if access is not None and not access.grant(section, "read").is_whole:
        # What a `test` tells, and where a `move` leads, are ways of reading.
        raise forbid(principal, f"read all of {section} of {key}, which a JSON Patch looks at")
    for left in range(TRIES - 1, -1, -1):
        view = await load_view(backend, key)
        before: JsonObject = orjson.loads(view.document)[section] if view.exists else {}
        patch = _merge_patch(before, operations, backend.limits.twin_bytes)
        version = if_match if if_match is not None else view.version
        payload = orjson.dumps({**patch, "$": {"if": version}})
        decoded, metadata, size_bytes = decode_patch(payload, backend.limits)
        order = Update(key, section, principal, decoded, metadata, payload, size_bytes=size_bytes)
        try:
            return await _write(backend, principal, order, matched=if_match is not None)
        except RequestRefused as refused:
            if refused.refusal.error != "version_mismatch" or not left:
                raise
    raise AssertionError("the last try returns or raises")


def _operations(body: bytes) -> list[dict[str, object]]:
    try:
        operations = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(operations, list) or len(operations) > OPERATIONS:
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, f"a JSON Patch is an array of at most {OPERATIONS} operations"
        )
    if not all(isinstance(operation, dict) for operation in operations):
        raise RequestProblem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "an operation of a JSON Patch is an object"
        )
    return operations


def _applied(before: JsonObject, operations: list[dict[str, object]], limit_bytes: int) -> object:
    """Apply operations one by one: each copy can double what is there, and 30 would fill memory."""
    after: object = orjson.loads(orjson.dumps(before))
    for operation in operations:
        after = jsonpatch.JsonPatch([operation]).apply(after, in_place=True)
        if operation.get("op") == "copy":
            size_bytes = len(orjson.dumps(after))
            if size_bytes > limit_bytes:
                raise RequestProblem(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"the JSON Patch makes the section {size_bytes} bytes, the limit is "
                    f"{limit_bytes}",
                )
    return after


def _merge_patch(
    before: JsonObject, operations: list[dict[str, object]], limit_bytes: int
) -> JsonObject:
    try:
        after = _applied(before, operations, limit_bytes)
    except jsonpatch.JsonPatchTestFailed as error:
        raise RequestProblem(
            HTTPStatus.CONFLICT, f"a test of the JSON Patch failed: {str(error)[:200]}"
        ) from error
    except (
        jsonpatch.JsonPatchException,
        JsonPointerException,
        TypeError,
        KeyError,
        ValueError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as error:  # fmt: skip - the library lets these through where an operation is odd
        raise RequestProblem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"the JSON Patch cannot be applied: {type(error).__name__}: {str(error)[:200]}",
        ) from error
    if not isinstance(after, dict) or _has_null(after):
        raise RequestProblem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "what the JSON Patch leads to cannot be a section: that is an object, without null",
            hint="use remove in the place of null",
        )
    return difference(before, after)[0]


def _has_null(value: object) -> bool:
    pending = [value]
    while pending:
        one = pending.pop()
        if one is None:
            return True
        if isinstance(one, dict):
            # Within arrays null is a value like others.
            pending += one.values()
    return False


async def delete_twin(backend: Backend, principal: str, key: TwinKey) -> Answer:
    """Delete a twin.

    Raises:
        RequestRefused: It was refused, as a message would have been.
        StoreError: Nothing took effect.
    """
    access = access_of(backend, principal, key)
    if access is not None and not access.deletes:
        raise forbid(principal, f"delete the twin {key}")
    done = act(Actor("http", principal), "twin.delete", str(key))
    outcome = await backend.write(key, Deletion(principal), done)
    _raise_refusal(outcome, matched=False)
    return _answer(key, outcome)


async def _write(backend: Backend, principal: str, order: Update, *, matched: bool) -> Answer:
    access = access_of(backend, principal, order.key)
    if access is not None and not access.grant(order.section, "write").is_some:
        raise forbid(principal, f"write anything in {order.section} of {order.key}")
    outcome = await backend.write(order.key, order)
    if (
        outcome.refusal is not None
        and outcome.refusal.error == "conflict"
        and access is not None
        and not access.reads_all
    ):
        raise RequestRefused(
            outcome.refusal._replace(
                message="what this would change was changed by a writer that it had not seen"
            )
        )
    _raise_refusal(outcome, matched=matched)
    return {**_answer(order.key, outcome), "section": order.section}


def _raise_refusal(outcome: Outcome, *, matched: bool) -> None:
    refusal = outcome.refusal
    if refusal is None:
        return
    if matched and refusal.error == "version_mismatch":
        refusal = Refusal(412, refusal.error, refusal.message)
    raise RequestRefused(refusal)


def _answer(key: TwinKey, outcome: Outcome) -> Answer:
    return {
        "device": key.device,
        "name": key.name,
        "version": outcome.version,
        "changed": outcome.changed,
        "superseded": outcome.superseded,
        "duplicate": outcome.duplicate,
    }
