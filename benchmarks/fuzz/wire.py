"""Targets that read payloads: encodings, metadata, wrappers, and a device's side of them."""

from __future__ import annotations

import zlib

import msgpack
import orjson
import zstandard

from benchmarks.fuzz.target import Run, Target, require
from bridge.core.limits import INTEGER_MAX, INTEGER_MIN, Limits
from bridge.core.section import JsonValue
from bridge.core.update import NO_METADATA
from bridge.device.payload import UnreadableError
from bridge.device.payload import decode as decode_on_device
from bridge.device.replies import read_changes, read_delta, read_reply, read_resync, read_twin
from bridge.wire import deflate, json_codec, msgpack_codec, wrappers, zstd
from bridge.wire.inbound import (
    Body,
    decode_body,
    decode_delete,
    decode_get,
    decode_presence,
)
from bridge.wire.malformed import Malformed

LIMITS = Limits(payload_bytes=4096, depth=8, key_bytes=40)
"""Small, so that short inputs come to all of them."""

_JSON = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"false", b"\\u0000", b"\\ud800",
    b"1e308", b"1E400", b"-0.0", b"9223372036854775807", b"9223372036854775808", b"NaN",
    b"Infinity", b'"$":', b'"$":{"id":"a"}', b'"a":1', b"\xef\xbb\xbf", b"\xc3\xa9",
    b"\xed\xa0\x80",
)  # fmt: skip
_METADATA = (
    b'"id":', b'"boot":', b'"seq":', b'"seen":', b'"t":', b'"if":', b'"full":', b"9007199254740991",
    b"9007199254740992", b"1.0", b"42.5", b'"1795389192794000"',
)  # fmt: skip
_MSGPACK = (
    b"\x80", b"\x81", b"\x8f", b"\x90", b"\x91", b"\xa0", b"\xa1$", b"\xa1a", b"\xc0", b"\xc2",
    b"\xc4\x01a", b"\xc7\x01\x05a", b"\xca\x7f\x80\x00\x00", b"\xcb", b"\xcf", b"\xd3",
    b"\xd4\x01\x00", b"\xd6\xff\x00\x00\x00\x00", b"\xd9\x01a", b"\xdb\xff\xff\xff\xff",
    b"\xdc\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01",
)  # fmt: skip
_BY_METADATA = ("bad_metadata", "unknown_metadata")

_FRAMES = (
    b"\xc7\x10\x01", b"\xc7\x10\x02", b"\xd8\x02", b"\xc8\x00\x40\x01", b"\x28\xb5\x2f\xfd",
    b"\x78\x9c", b"\x1f\x8b\x08", b"\x50\x2a\x4d\x18", b"\x00\x00\xff\xff",
)  # fmt: skip


def _update() -> Run:
    def run(data: bytes) -> None:
        body = decode_body(data, LIMITS)
        if data[:1] == b"{" and len(data) <= LIMITS.payload_bytes:
            plain = json_codec.parse_plain(data, LIMITS)
            require(
                plain is None or (body.refusal is None and body.state == plain),
                "the short way and the long way decode to the same",
            )
        if body.refusal is not None:
            require(not body.state, "what is refused brings no state")
            return
        _check_taken(body)

    return run


def _check_taken(body: Body) -> None:
    _check_value(body.state, 1)
    if not _is_writable(body.state):
        return
    for payload in (orjson.dumps(body.state), msgpack_codec.encode(body.state)):
        if len(payload) <= LIMITS.payload_bytes:
            again = decode_body(payload, LIMITS)
            require(again.refusal is None, "what was taken can be sent again")
            require(again.state == body.state, "and is the same")


def _is_writable(value: JsonValue) -> bool:
    """Tell whether a value is of integers and texts only: floats are compared elsewhere."""
    return b"e" not in orjson.dumps(value)


def _check_value(value: JsonValue, level: int) -> None:
    if isinstance(value, dict):
        require(level <= LIMITS.depth, "no deeper than the limit")
        for name, member in value.items():
            require(name[:1] != "$", "no key is reserved")
            require(len(name.encode()) <= LIMITS.key_bytes, "no key is longer than the limit")
            _check_value(member, level + 1)
    elif isinstance(value, list):
        require(level <= LIMITS.depth, "no deeper than the limit")
        for member in value:
            _check_value(member, level + 1)
    elif isinstance(value, int):
        require(INTEGER_MIN <= value <= INTEGER_MAX, "integers are within 64 bits")
    elif isinstance(value, float):
        require(abs(value) < float("inf"), "no NaN, and nothing infinite")
    else:
        require(value is None or isinstance(value, str), "nothing but what JSON has")


def _requests() -> Run:
    def run(data: bytes) -> None:
        decode_get(data, LIMITS)
        decode_presence(data, LIMITS)
        body = decode_delete(data, LIMITS)
        require(body.refusal is not None or not body.state, "a deletion brings no state")

    return run


def _metadata() -> Run:
    def run(data: bytes) -> None:
        body = decode_body(b'{"$":' + data + b"}", LIMITS)
        metadata = body.metadata
        require(
            metadata.seq is None or 1 <= metadata.seq < 2**53, "seq is a number that counts exactly"
        )
        require(metadata.request_id is None or len(metadata.request_id) <= 64, "an id has a length")
        require(metadata.seq is None or metadata.boot is not None, "a seq belongs to a boot")
        if body.refusal is not None and body.refusal.error in _BY_METADATA:
            kept = metadata._replace(request_id=None, boot=None, seq=None)
            require(kept == NO_METADATA, "of metadata that is refused nothing else is kept")

    return run


def _expand() -> Run:
    """Compressed bytes as they come: whole, broken, or larger inside than they may be."""

    def gzip(data: bytes) -> bytes:
        return deflate.expand(data, LIMITS.payload_bytes, "limit", "gzip")

    def zlib_stream(data: bytes) -> bytes:
        return deflate.expand(data, LIMITS.payload_bytes, "limit")

    def zstd_frame(data: bytes) -> bytes:
        return zstd.expand(data, LIMITS.payload_bytes, "limit")

    def wrapper(data: bytes) -> bytes:
        return wrappers.unwrap(data, LIMITS.payload_bytes) if data else b""

    ways = (wrapper, zstd_frame, zlib_stream, gzip)

    def run(data: bytes) -> None:
        way = ways[data[0] & 3] if data else wrapper
        try:
            inner = way(data[1:])
        except Malformed:
            return
        require(len(inner) <= LIMITS.payload_bytes, "nothing expands beyond the limit")

    return run


def _compressed() -> Run:
    """A payload in a wrapper is what it is without."""
    packers = (
        lambda data: msgpack.ExtType(wrappers.ZLIB, zlib.compress(data, 1)),
        lambda data: msgpack.ExtType(wrappers.ZSTD, zstandard.compress(data, 1)),
    )

    def run(data: bytes) -> None:
        if len(data) < 2:
            return
        payload = data[1:]
        packed = msgpack.packb(packers[data[0] & 1](payload))
        if wrappers.is_wrapper(payload) or len(packed) > LIMITS.payload_bytes:
            return
        found, expected = decode_body(packed, LIMITS), decode_body(payload, LIMITS)
        require(repr(found) == repr(expected), "a wrapper changes nothing")

    return run


def _device() -> Run:
    """What a device reads of the bridge: whatever it is, the device goes on."""
    base = read_twin({"version": 3, "reported": {"a": {"b": 1}}, "desired": {"on": True}})

    def run(data: bytes) -> None:
        try:
            document = decode_on_device(data)
        except UnreadableError:
            return
        for read in (read_reply, read_delta, read_twin, read_resync):
            try:
                read(document)
            except UnreadableError:
                continue
        try:
            read_changes(document, 4, base)
        except UnreadableError:
            return

    return run


TARGETS = (
    Target("json", _update, 2_600_000, _JSON + _METADATA),
    Target("msgpack", _update, 2_000_000, _MSGPACK),
    Target("metadata", _metadata, 1_200_000, _JSON + _METADATA),
    Target(
        "requests", _requests, 700_000, (*_JSON, b'"since":', b'"meta":', b"online", b"offline")
    ),
    Target("expand", _expand, 1_200_000, _FRAMES),
    Target("compressed", _compressed, 300_000, _JSON + _MSGPACK),
    Target(
        "device",
        _device,
        600_000,
        (*_JSON, b'"version":', b'"state":', b'"reported":', b'"missing":[[1,2]]', b'"ok":true'),
    ),
)
