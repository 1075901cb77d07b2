"""Reads what the bridge publishes. What is unknown is passed over: a newer bridge may say more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from bridge.device.events import DeltaReceived, Twin
from bridge.device.patch import apply_patch
from bridge.device.payload import METADATA_KEY, JsonObject, JsonValue, UnreadableError


@dataclass(frozen=True, slots=True)
class Reply:
    """The `$` of a reply (design section 3).

    `code`, `error` and `message` are of refusals only. `since` is of an answer that holds what has
    changed after that version; every other answer to a `get` holds the whole twin. `retry_after_s`
    and `messages_per_s` are of a refusal that tells when to send again, and how fast.
    """

    request_id: str
    ok: bool
    version: int
    changed: bool
    duplicate: bool
    superseded: bool
    code: int
    error: str
    message: str
    since: int | None = None
    retry_after_s: float | None = None
    messages_per_s: float | None = None


class ResyncRequest(NamedTuple):
    """A request of the bridge for what it has not got.

    Attributes:
        reason: Why it asks, or empty.
        boot: In which reports are missing; empty where that is not said, or no text.
        missing: Their numbers, as runs from the first to the last.
    """

    reason: str
    boot: str
    missing: tuple[tuple[int, int], ...]


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
        since=_integer(metadata, "since") if "since" in metadata else None,
        retry_after_s=_positive(metadata, "retry_after_s"),
        messages_per_s=_positive(metadata, "messages_per_s"),
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
    last_seen = document.get("last_seen")
    return Twin(
        version=_integer(document, "version") if version is None else version,
        reported=_object(document, "reported"),
        desired=_object(document, "desired"),
        online=online if isinstance(online, bool) else None,
        at=_integer(document, "at", 0),
        last_seen=None if last_seen is None else _integer(document, "last_seen"),
    )


def read_changes(document: JsonObject, version: int, base: Twin) -> Twin:
    """Read the twin from a reply that holds what has changed after the version of `base`.

    Raises:
        UnreadableError: A section is not an object.
    """
    sections: JsonObject = {
        "reported": apply_patch(base.reported, _object(document, "reported", {})),
        "desired": apply_patch(base.desired, _object(document, "desired", {})),
    }
    if version == base.version:
        # What is not said of a version that is known has not changed.
        sections = {"online": base.online, "at": base.at, **sections}
    return read_twin({**sections, **_without_sections(document)}, version)


def read_resync(document: JsonObject) -> ResyncRequest:
    """Read a request for what the bridge has not got.

    Raises:
        UnreadableError: `missing` is not runs of numbers, or `reason` is no text.
    """
    reason = document.get("reason", "")
    boot = document.get("boot")
    missing = document.get("missing")
    if not isinstance(reason, str):
        raise UnreadableError("reason is not a text")
    if not isinstance(missing, list | None):
        raise UnreadableError("missing is not an array")
    return ResyncRequest(
        reason, boot if isinstance(boot, str) else "", tuple(_run(run) for run in missing or ())
    )


def _run(run: JsonValue) -> tuple[int, int]:
    match run:
        case [int(first), int(last)] if type(first) is type(last) is int and 1 <= first <= last:
            return first, last
        case _:
            raise UnreadableError("missing has a member that is not [first, last]")


def _without_sections(document: JsonObject) -> JsonObject:
    return {key: value for key, value in document.items() if key not in ("reported", "desired")}


def _object(document: JsonObject, key: str, default: JsonObject | None = None) -> JsonObject:
    value = document.get(key, default)
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


def _positive(document: JsonObject, key: str) -> float | None:
    """Return a number above 0; None where there is none that makes sense."""
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return None
    return float(value)


def _text(document: JsonObject, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
