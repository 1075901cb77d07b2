"""Reads what the bridge publishes. What is unknown is passed over: a newer bridge may say more."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.device.events import DeltaReceived, Twin
from bridge.device.payload import METADATA_KEY, JsonObject, JsonValue, UnreadableError


@dataclass(frozen=True, slots=True)
class Reply:
    """The `$` of a reply (design section 3). `code`, `error` and `message` of refusals only."""

    request_id: str
    ok: bool
    version: int
    changed: bool
    duplicate: bool
    superseded: bool
    code: int
    error: str
    message: str


def read_reply(document: JsonObject) -> Reply:
    """Read a reply's metadata.

    Raises:
        UnreadableError: `$` has no `id` or no `ok`.
    """
    metadata = _object(document, METADATA_KEY)
    request_id = metadata.get("id")
    ok = metadata.get("ok")
    if not isinstance(request_id, str) or not isinstance(ok, bool):
        raise UnreadableError("a reply has a text as $.id and a boolean as $.ok")
    return Reply(
        request_id=request_id,
        ok=ok,
        version=_integer(metadata, "version", 0),
        changed=metadata.get("changed") is True,
        duplicate=metadata.get("duplicate") is True,
        superseded=metadata.get("superseded") is True,
        code=_integer(metadata, "code", 0),
        error=_text(metadata, "error"),
        message=_text(metadata, "message"),
    )


def read_delta(document: JsonObject) -> DeltaReceived:
    """Read a delta.

    Raises:
        UnreadableError: It has no integer `version` or no object `state`.
    """
    return DeltaReceived(_integer(document, "version"), _object(document, "state"))


def read_twin(document: JsonObject, version: int | None = None) -> Twin:
    """Read a merged twin from `state`, or, with the version of its `$`, from a `get`'s reply.

    Raises:
        UnreadableError: A section or the version is missing.
    """
    online = document.get("online")
    return Twin(
        version=_integer(document, "version") if version is None else version,
        reported=_object(document, "reported"),
        desired=_object(document, "desired"),
        online=online if isinstance(online, bool) else None,
        at=_integer(document, "at", 0),
    )


def _object(document: JsonObject, key: str) -> JsonObject:
    value = document.get(key)
    if not isinstance(value, dict):
        raise UnreadableError(f"{key} is not an object")
    return value


def _integer(document: JsonObject, key: str, default: int | None = None) -> int:
    value: JsonValue = document.get(key, default)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnreadableError(f"{key} is not an integer")
    return value


def _text(document: JsonObject, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
