"""What arrives: a payload, decoded by what stands in its topic."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from bridge.core.limits import BOOT_BYTES, INTEGER_MAX, INTEGER_MIN, Limits
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.update import NO_METADATA, Metadata, Presence
from bridge.wire import json_codec, msgpack_codec, wrappers
from bridge.wire.dictionaries import Dictionaries
from bridge.wire.malformed import Malformed
from bridge.wire.metadata import COUNTER_MAX, as_integer, parse_metadata

Encoding: TypeAlias = Literal["json", "msgpack"]

_JSON_FIRST_BYTES = frozenset(b"{ \t\r\n[")
_MSGPACK_MAP_FIRST_BYTES = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))


class Body(NamedTuple):
    """A decoded payload.

    Attributes:
        state: The object without `$`; empty with a refusal.
        metadata: What stood in `$`, as far as it could be read.
        encoding: What to answer in.
        refusal: Why it is refused, or None.
        size_bytes: Length of the payload without wrappers.
        plain: The payload without wrappers, where it could be unwrapped.
    """

    state: JsonObject
    metadata: Metadata
    encoding: Encoding
    refusal: Refusal | None = None
    size_bytes: int = 0
    plain: bytes = b""


class GetRequest(NamedTuple):
    """A decoded `get`: from which version on (None: the whole), and with registers or not."""

    since: int | None = None
    meta: bool = False


def decode_body(payload: bytes, limits: Limits, dictionaries: Dictionaries | None = None) -> Body:
    """Decode an object with its metadata, within the limits.

    Args:
        payload: As it arrived.
        limits: The bounds.
        dictionaries: Of zstd, that are known.
    """
    plain = b""
    encoding: Encoding = "json"
    metadata = NO_METADATA
    try:
        payload = plain = _plain(payload, limits, dictionaries)
        if payload[0] in _MSGPACK_MAP_FIRST_BYTES:
            encoding = "msgpack"
            state = msgpack_codec.parse(payload)
        elif payload[0] in _JSON_FIRST_BYTES:
            state = json_codec.parse(payload)
        else:
            raise _unknown_encoding(payload)
        raw = None
        if "$" in state:
            raw = state.pop("$")
            metadata, refusal = parse_metadata(raw)
            if refusal is not None:
                return Body({}, metadata, encoding, refusal, plain=plain)
        if encoding == "json":
            json_codec.check(payload, state, raw, limits)
        else:
            msgpack_codec.check(state, limits)
    except Malformed as malformed:
        return Body({}, metadata, encoding, malformed.refusal, plain=plain)
    return Body(state, metadata, encoding, None, len(payload), plain)


def _plain(payload: bytes, limits: Limits, dictionaries: Dictionaries | None) -> bytes:
    """Return the payload without its wrapper."""
    if len(payload) > limits.payload_bytes:
        raise Malformed(
            413,
            "payload_too_large",
            f"the payload has {len(payload)} bytes, the limit is {limits.payload_bytes}: "
            "send less at once, or raise limits.payload_bytes",
        )
    if not payload:
        raise Malformed(400, "empty_payload", "the payload is empty: send an object, {} at least")
    if wrappers.is_wrapper(payload):
        return wrappers.unwrap(payload, limits.payload_bytes, dictionaries)
    return payload


def _unknown_encoding(payload: bytes) -> Malformed:
    return Malformed(
        415,
        "unknown_encoding",
        f"the first byte is 0x{payload[0]:02x}: send a JSON object, a msgpack map, or a wrapper",
    )


def decode_get(
    payload: bytes, limits: Limits, dictionaries: Dictionaries | None = None
) -> tuple[GetRequest, Body]:
    """Decode a `get`; the body carries the refusal, if there is one."""
    if not payload:
        return GetRequest(), Body({}, NO_METADATA, "json")
    body = decode_body(payload, limits, dictionaries)
    if body.refusal is not None:
        return GetRequest(), body
    since, meta = body.state.get("since"), body.state.get("meta", False)
    number = None if since is None else as_integer(since)
    wrong = body.state.keys() - {"since", "meta"}
    if wrong:
        problem = f"{min(wrong)[:40]!r} is not known; known: since, meta"
    elif since is not None and (number is None or not 0 <= number <= COUNTER_MAX):
        problem = "since is not a version"
    elif not isinstance(meta, bool):
        problem = "meta is not true or false"
    else:
        return GetRequest(number, meta), body
    return GetRequest(), body._replace(refusal=Refusal(400, "bad_request", f"get: {problem}"))


def decode_delete(payload: bytes, limits: Limits, dictionaries: Dictionaries | None = None) -> Body:
    """Decode a `delete`: empty, or an object with nothing but `$`."""
    if not payload:
        return Body({}, NO_METADATA, "json")
    body = decode_body(payload, limits, dictionaries)
    if body.refusal is None and body.state:
        refusal = Refusal(
            400, "bad_request", "delete takes an empty payload or {}: it removes the whole twin"
        )
        return body._replace(refusal=refusal)
    if body.metadata._replace(request_id=None) != NO_METADATA:
        refusal = Refusal(400, "bad_request", "delete takes no other metadata than $.id")
        return body._replace(refusal=refusal)
    return body


def decode_presence(
    payload: bytes, limits: Limits, dictionaries: Dictionaries | None = None
) -> Presence | Refusal:
    """Decode a presence: `online`, `offline`, or an object with `online` and perhaps `boot`."""
    text = payload.strip()
    if text in (b"online", b"offline"):
        return Presence(text == b"online")
    body = decode_body(payload, limits, dictionaries)
    if body.refusal is not None:
        return body.refusal
    online, boot = body.state.get("online"), body.state.get("boot")
    if not isinstance(online, bool):
        return Refusal(
            400, "bad_presence", 'presence is online, offline, or {"online": true or false}'
        )
    if isinstance(boot, str):
        usable = len(boot.encode()) <= BOOT_BYTES
        return Presence(online, boot) if usable else _bad_presence_boot()
    if boot is None:
        return Presence(online)
    number = as_integer(boot)
    usable = number is not None and INTEGER_MIN <= number <= INTEGER_MAX
    return Presence(online, number) if usable else _bad_presence_boot()


def _bad_presence_boot() -> Refusal:
    return Refusal(
        400, "bad_presence", f"boot is not a string of at most {BOOT_BYTES} bytes, or an integer"
    )
