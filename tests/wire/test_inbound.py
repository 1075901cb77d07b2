"""Payloads in, updates or refusals out: one table for everything that may be wrong."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.refusal import Refusal
from bridge.core.section import same
from bridge.core.update import NO_METADATA, Metadata, Presence
from bridge.wire.inbound import (
    GetRequest,
    decode_body,
    decode_delete,
    decode_get,
    decode_presence,
)
from bridge.wire.wrappers import wrap_zlib, wrap_zstd
from tests.wire.zstd_frames import of_dictionary, unsized

LIMITS = Limits(payload_bytes=4096)


def nested(levels: int) -> bytes:
    """An object of this many levels."""
    return b'{"a":' * levels + b"1" + b"}" * levels


def ext(code: int, data: bytes) -> bytes:
    """A msgpack ext."""
    packed: bytes = msgpack.packb(msgpack.ExtType(code, data))
    return packed


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "empty payload": (b"", 400, "empty_payload"),
    "white space only": (b"  \n", 400, "bad_json"),
    "broken JSON": (b'{"on":tru', 400, "bad_json"),
    "bytes after the object": (b'{"on":true} x', 400, "bad_json"),
    "an array": (b"[1,2]", 400, "not_an_object"),
    "an array after white space": (b" [1,2]", 400, "not_an_object"),
    "a number": (b"42", 415, "unknown_encoding"),
    "a number after white space": (b" 42", 400, "not_an_object"),
    "a string": (b'"on"', 415, "unknown_encoding"),
    "text": (b"online", 415, "unknown_encoding"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 415, "unknown_encoding"),
    "UTF-16": ("{}".encode("utf-16-le"), 400, "bad_json"),
    "CBOR": (b"\xa1\x62on\xf5", 415, "unknown_encoding"),
    "invalid UTF-8": (b'{"a":"\xff"}', 400, "bad_json"),
    "a lone surrogate": (b'{"a":"\\ud800"}', 400, "bad_json"),
    "NaN": (b'{"a":NaN}', 400, "bad_json"),
    "Infinity": (b'{"a":-Infinity}', 400, "bad_json"),
    "a number that overflows": (b'{"a":1e999}', 400, "bad_json"),
    "an integer above 64 bits": (b'{"a":9223372036854775808}', 400, "integer_range"),
    "an integer far above 64 bits": (b'{"a":18446744073709551616}', 400, "integer_range"),
    "an integer below 64 bits": (b'{"a":-9223372036854775809}', 400, "integer_range"),
    "an integer of 1,000 digits": (b'{"a":[' + b"9" * 1000 + b"]}", 400, "bad_json"),
    "an integer of 300 digits": (b'{"a":[' + b"9" * 300 + b"]}", 400, "integer_range"),
    "a key twice": (b'{"a":1,"a":2}', 400, "duplicate_key"),
    "a key twice, with white space": (b'{"a":1,"a" :2}', 400, "duplicate_key"),
    "a key twice, once escaped": (b'{"a":1,"\\u0061":2}', 400, "duplicate_key"),
    "a key twice, deeper, among colons": (b'{"x":":","b":{"a":1,"a":":"}}', 400, "duplicate_key"),
    "a key twice, in an array": (b'{"x":[{"a":1,"a":2}]}', 400, "duplicate_key"),
    "$ twice": (b'{"$":{"id":"a"},"$":{"id":"b"}}', 400, "duplicate_key"),
    "too deep": (nested(17), 400, "too_deep"),
    "arrays too deep": (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", 400, "too_deep"),
    "10,000 levels of arrays": (b'{"a":' + b"[" * 4000, 400, "bad_json"),
    "a key too long": (b'{"' + b"k" * 257 + b'":1}', 400, "key_too_long"),
    "a key too long in UTF-8": ('{"' + "é" * 129 + '":1}', 400, "key_too_long"),  # type: ignore[dict-item]
    "a reserved key": (b'{"$x":1}', 400, "reserved_key"),
    "a reserved key deeper": (b'{"a":{"$":{"id":"x"}}}', 400, "reserved_key"),
    "a reserved key in an array": (b'{"a":[{"$b":1}]}', 400, "reserved_key"),
    "too large": (b'{"a":"' + b"x" * 4096 + b'"}', 413, "payload_too_large"),
    "$ is not an object": (b'{"$":1}', 400, "bad_metadata"),
    "$ is null": (b'{"$":null,"a":1}', 400, "bad_metadata"),
    "an unknown $ key": (b'{"$":{"sqe":1}}', 400, "unknown_metadata"),
    "$ id is a number": (b'{"$":{"id":7}}', 400, "bad_metadata"),
    "$ id is too long": (b'{"$":{"id":"' + b"x" * 65 + b'"}}', 400, "bad_metadata"),
    "$ seq is a string": (b'{"$":{"seq":"1"}}', 400, "bad_metadata"),
    "$ seq is zero": (b'{"$":{"seq":0}}', 400, "bad_metadata"),
    "$ seq is negative": (b'{"$":{"seq":-1}}', 400, "bad_metadata"),
    "$ seq has a fraction": (b'{"$":{"seq":1.5}}', 400, "bad_metadata"),
    "$ seq is true": (b'{"$":{"seq":true}}', 400, "bad_metadata"),
    "$ seq is 2^53": (b'{"$":{"seq":9007199254740992}}', 400, "bad_metadata"),
    "$ seq is 2^64": (b'{"$":{"seq":18446744073709551616}}', 400, "bad_metadata"),
    "$ boot is an object": (b'{"$":{"boot":{}}}', 400, "bad_metadata"),
    "$ boot is 65 bytes": (b'{"$":{"boot":"' + b"x" * 65 + b'"}}', 400, "bad_metadata"),
    "$ seen is negative": (b'{"$":{"seen":-1}}', 400, "bad_metadata"),
    "$ t has a fraction": (b'{"$":{"t":1.5}}', 400, "bad_metadata"),
    "$ t is a word": (b'{"$":{"t":"now"}}', 400, "bad_metadata"),
    "$ if is null": (b'{"$":{"if":null}}', 400, "bad_metadata"),
    "$ full is 1": (b'{"$":{"full":1}}', 400, "bad_metadata"),
    "a msgpack array": (b"\x91\x01", 415, "unknown_encoding"),
    "msgpack cut short": (b"\x82\xa1a\x01", 400, "bad_msgpack"),
    "msgpack with bytes after it": (b"\x80\x80", 400, "bad_msgpack"),
    "msgpack with 4 Gi members": (b"\xdf\xff\xff\xff\xff" + b"\x00" * 1024, 400, "bad_msgpack"),
    "a msgpack string of 4 GiB": (b"\x81\xa1a\xdb\xff\xff\xff\xff", 400, "bad_msgpack"),
    "msgpack too deep": (b"\x81\xa1a" * 17 + b"\x80", 400, "too_deep"),
    "msgpack far too deep": (b"\x81\xa1a" * 1300 + b"\x80", 400, "bad_msgpack"),
    "a msgpack key twice": (b"\x82\xa1a\x01\xa1a\x02", 400, "duplicate_key"),
    "a msgpack key that is a number": (b"\x81\x01\x02", 400, "bad_msgpack"),
    "a msgpack key that is bin": (b"\x81\xc4\x01a\x02", 400, "bad_key"),
    "msgpack bin": (b"\x81\xa1a\xc4\x01x", 400, "bad_type"),
    "a msgpack ext in a map": (b"\x81\xa1a\xd4\x05x", 400, "bad_type"),
    "a msgpack timestamp in a map": (b"\x81\xa1a\xd6\xff\x00\x00\x00\x00", 400, "bad_type"),
    "msgpack invalid UTF-8": (b"\x81\xa1a\xa1\xff", 400, "bad_msgpack"),
    "msgpack NaN": (b"\x81\xa1a\xcb" + struct.pack(">d", float("nan")), 400, "not_a_number"),
    "msgpack infinity": (b"\x81\xa1a\xca" + struct.pack(">f", float("inf")), 400, "not_a_number"),
    "a msgpack integer above 64 bits": (b"\x81\xa1a\xcf" + b"\xff" * 8, 400, "integer_range"),
    "a zlib bomb": (ext(1, zlib.compress(b" " * 3_000_000)), 413, "payload_too_large"),
    "zlib cut short": (ext(1, zlib.compress(b"{}")[:-2]), 400, "bad_wrapper"),
    "zlib with bytes after it": (ext(1, zlib.compress(b"{}") + b"x"), 400, "bad_wrapper"),
    "no zlib in the wrapper": (ext(1, b"nonsense"), 400, "bad_wrapper"),
    "a wrapper cut short": (b"\xc7\xff\x01abc", 400, "bad_wrapper"),
    "zlib of nothing": (ext(1, zlib.compress(b"")), 400, "empty_payload"),
    "zlib in zlib": (wrap_zlib(wrap_zlib(b"{}")), 400, "nested_wrapper"),
    "a zstd bomb": (wrap_zstd(b" " * 3_000_000), 413, "payload_too_large"),
    "a zstd bomb that hides its size": (
        ext(2, unsized(b" " * 3_000_000)),
        413,
        "payload_too_large",
    ),
    "a zstd window of 16 MiB": (ext(2, unsized(b"{}", window_log=24)), 413, "payload_too_large"),
    "zstd cut short": (ext(2, zstandard.compress(b"{}")[:-1]), 400, "bad_wrapper"),
    "zstd without a size, cut short": (ext(2, unsized(b"{}")[:-1]), 400, "bad_wrapper"),
    "zstd with bytes after it": (ext(2, zstandard.compress(b"{}") + b"x"), 400, "bad_wrapper"),
    "zstd without a size, with bytes after it": (ext(2, unsized(b"{}") + b"x"), 400, "bad_wrapper"),
    "two zstd frames": (ext(2, zstandard.compress(b"{}") * 2), 400, "bad_wrapper"),
    "a skippable zstd frame": (ext(2, b"\x50\x2a\x4d\x18\x02\0\0\0{}"), 400, "bad_wrapper"),
    "a zstd size that is not true": (
        ext(2, zstandard.compress(b"{}").replace(b"\x20\x02", b"\x20\x03", 1)),
        400,
        "bad_wrapper",
    ),
    "no zstd in the wrapper": (ext(2, b"nonsense"), 400, "bad_wrapper"),
    "zstd of nothing": (ext(2, zstandard.compress(b"")), 400, "empty_payload"),
    "zstd in zstd": (wrap_zstd(wrap_zstd(b"{}")), 400, "nested_wrapper"),
    "zlib in zstd": (wrap_zstd(wrap_zlib(b"{}")), 400, "nested_wrapper"),
    "zstd with a dictionary": (ext(2, of_dictionary(b"{}")), 415, "unknown_dictionary"),
    "sealed": (ext(16, b"x"), 401, "seal_not_valid"),
    "an unknown wrapper": (ext(99, b"x"), 415, "unknown_wrapper"),
    "a msgpack timestamp": (b"\xd6\xff\x00\x00\x00\x00", 415, "unknown_wrapper"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_a_code_a_name_and_a_reason(name: str) -> None:
    """Nothing of it becomes a patch."""
    payload, code, error = REFUSED[name]
    raw = payload.encode() if isinstance(payload, str) else payload
    body = decode_body(raw, LIMITS)
    assert body.refusal is not None
    assert (body.refusal.code, body.refusal.error) == (code, error), body.refusal
    assert body.refusal.message
    assert body.state == {}


@pytest.mark.parametrize(
    "name", ["a zlib bomb", "a zstd bomb", "msgpack with 4 Gi members", "too large"]
)
def test_what_is_too_large_is_refused_before_memory_is_spent(name: str) -> None:
    """The bound holds while decoding, not afterwards."""
    payload = REFUSED[name][0]
    tracemalloc.start()
    decode_body(payload, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


TAKEN: dict[str, tuple[bytes, dict[str, Any], Metadata]] = {
    "an empty object": (b"{}", {}, NO_METADATA),
    "white space around": (b' \r\n\t{"a": 1 } ', {"a": 1}, NO_METADATA),
    "16 levels": (nested(16), json.loads(nested(16)), NO_METADATA),
    "64-bit integers": (
        b'{"a":9223372036854775807,"b":-9223372036854775808}',
        {"a": 2**63 - 1, "b": -(2**63)},
        NO_METADATA,
    ),
    "a float beyond 64 bits": (b'{"a":1e19,"b":-9.3e18}', {"a": 1e19, "b": -9.3e18}, NO_METADATA),
    "0.0 stays a float": (b'{"a":0.0,"b":0}', {"a": 0.0, "b": 0}, NO_METADATA),
    "colons in keys and values": (
        b'{"cct:0":{"mac":"aa:bb"},"x":": \\":"}',
        {"cct:0": {"mac": "aa:bb"}, "x": ': ":'},
        NO_METADATA,
    ),
    "the same key in two objects": (
        b'{"a":{"k":1},"b":[{"k":2},{"k":3}]}',
        {"a": {"k": 1}, "b": [{"k": 2}, {"k": 3}]},
        NO_METADATA,
    ),
    "nulls in arrays": (b'{"a":[null,1]}', {"a": [None, 1]}, NO_METADATA),
    "all metadata": (
        b'{"a":1,"$":{"id":"r","boot":"b","seq":42,"seen":13,"t":1795389192794000,"if":9,"full":true}}',
        {"a": 1},
        Metadata("r", "b", 42, 13, 1795389192794000, 9, True),
    ),
    "numbers without a fraction": (
        b'{"$":{"boot":7.0,"seq":42.0,"t":1.795e15}}',
        {},
        Metadata(boot=7, seq=42, time=1_795_000_000_000_000),
    ),
    "a time as digits": (b'{"$":{"t":"1795389192794000"}}', {}, Metadata(time=1795389192794000)),
    "a negative time": (b'{"$":{"t":-1}}', {}, Metadata(time=-1)),
    "seq without boot is boot 0": (b'{"$":{"seq":1}}', {}, Metadata(boot=0, seq=1)),
    "an empty $": (b'{"$":{},"a":1}', {"a": 1}, NO_METADATA),
    "msgpack": (msgpack.packb({"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}, NO_METADATA),
    "a large msgpack map": (
        msgpack.packb({f"k{n}": n for n in range(300)}),
        {f"k{n}": n for n in range(300)},
        NO_METADATA,
    ),
    "msgpack metadata": (msgpack.packb({"$": {"seq": 1.0}}), {}, Metadata(boot=0, seq=1)),
    "zlib of JSON": (wrap_zlib(b'{"a":1}'), {"a": 1}, NO_METADATA),
    "zstd of JSON": (wrap_zstd(b'{"a":1}'), {"a": 1}, NO_METADATA),
    "zstd of msgpack": (wrap_zstd(msgpack.packb({"a": 1})), {"a": 1}, NO_METADATA),
    "zstd without a size": (ext(2, unsized(b'{"a":1}')), {"a": 1}, NO_METADATA),
    "zlib of msgpack": (wrap_zlib(msgpack.packb({"a": 1})), {"a": 1}, NO_METADATA),
    "a section's name is an ordinary key": (
        b'{"desired":{"on":true}}',
        {"desired": {"on": True}},
        NO_METADATA,
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_good_input_is_taken_with_its_types(name: str) -> None:
    """Values, types and metadata."""
    payload, state, metadata = TAKEN[name]
    body = decode_body(payload, LIMITS)
    assert body.refusal is None
    assert same(body.state, state)
    assert body.metadata == metadata


def test_the_answer_is_given_in_the_encoding_of_the_question() -> None:
    """Also below a wrapper."""
    assert decode_body(b"{}", LIMITS).encoding == "json"
    assert decode_body(b"\x80", LIMITS).encoding == "msgpack"
    assert decode_body(wrap_zlib(b"\x80"), LIMITS).encoding == "msgpack"


def test_a_refusal_can_be_answered_where_the_id_could_be_read() -> None:
    """Whatever else is wrong with the payload or its metadata."""
    too_deep = b'{"$":{"id":"r1","seq":3},' + nested(17)[1:]
    body = decode_body(too_deep, LIMITS)
    assert body.refusal is not None
    assert body.metadata == Metadata("r1", 0, 3)
    wrong_seq = decode_body(b'{"$":{"seq":"x","id":"r2"}}', LIMITS)
    assert wrong_seq.metadata == Metadata("r2")
    wrong_time = decode_body(b'{"$":{"t":1.5,"seq":4,"seen":2}}', LIMITS)
    assert wrong_time.metadata == Metadata(None, 0, 4)
    wrong_boot = decode_body(b'{"$":{"boot":[],"seq":4}}', LIMITS)
    assert wrong_boot.metadata == Metadata()
    assert "did you mean 'seq'" in str(decode_body(b'{"$":{"sqe":1}}', LIMITS).refusal)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8).filter(lambda k: k[:1] != "$"), inner, max_size=4),
    ),
    max_leaves=12,
)
json_objects = st.dictionaries(
    st.text(max_size=8).filter(lambda k: k[:1] != "$"), json_values, max_size=5
)


@given(json_objects)
@settings(max_examples=400, deadline=None)
def test_any_object_survives_both_encodings(value: dict[str, Any]) -> None:
    """JSON and msgpack decode to the same values and types."""
    limits = Limits(depth=64)
    for payload in (
        json.dumps(value, ensure_ascii=False).encode(),
        json.dumps(value).encode(),
        msgpack.packb(value),
    ):
        body = decode_body(payload, limits)
        assert body.refusal is None, body.refusal
        assert same(body.state, value)


@given(st.binary(max_size=200))
@settings(max_examples=1000, deadline=None)
def test_no_bytes_make_the_decoder_fail(payload: bytes) -> None:
    """It answers with a body; refused or not."""
    decode_body(payload, LIMITS)
    decode_get(payload, LIMITS)
    decode_delete(payload, LIMITS)
    decode_presence(payload, LIMITS)


@given(st.sampled_from(sorted(TAKEN)), st.data())
@settings(max_examples=600, deadline=None)
def test_no_damaged_payload_makes_the_decoder_fail(name: str, data: st.DataObject) -> None:
    """A byte changed, removed or added anywhere."""
    payload = bytearray(TAKEN[name][0])
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    decode_body(bytes(payload), LIMITS)


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        (b"", GetRequest()),
        (b"{}", GetRequest()),
        (b'{"since":3}', GetRequest(3)),
        (b'{"since":3.0,"meta":true,"$":{"id":"g"}}', GetRequest(3, True)),
    ],
)
def test_a_get_says_from_where_and_how(payload: bytes, request_: GetRequest) -> None:
    """Empty means everything."""
    found, body = decode_get(payload, LIMITS)
    assert (found, body.refusal) == (request_, None)


@pytest.mark.parametrize(
    "payload", [b'{"since":-1}', b'{"since":"3"}', b'{"meta":1}', b'{"sinse":3}', b"[]", b"x"]
)
def test_a_get_with_something_else_is_refused(payload: bytes) -> None:
    """Misspelt, it would answer something else than was asked."""
    assert decode_get(payload, LIMITS)[1].refusal is not None


def test_a_delete_takes_nothing_but_metadata() -> None:
    """A patch in it is a mistake."""
    assert decode_delete(b"", LIMITS).refusal is None
    assert decode_delete(b'{"$":{"id":"d"}}', LIMITS).metadata.request_id == "d"
    assert decode_delete(b'{"on":null}', LIMITS).refusal is not None
    assert decode_delete(b'{"$":{"if":3}}', LIMITS).refusal is not None


@pytest.mark.parametrize(
    ("payload", "presence"),
    [
        (b"online", Presence(True)),
        (b"offline\n", Presence(False)),
        (b'{"online":false,"boot":7}', Presence(False, 7)),
        (b'{"online":true,"boot":"b","ip":"10.0.0.1"}', Presence(True, "b")),
        (msgpack.packb({"online": True}), Presence(True)),
    ],
)
def test_presence_is_text_or_an_object(payload: bytes, presence: Presence) -> None:
    """More in the object does not matter."""
    assert decode_presence(payload, LIMITS) == presence


@pytest.mark.parametrize(
    "payload",
    [
        b"on",
        b"{}",
        b'{"online":1}',
        b'{"online":true,"boot":[]}',
        b"\xff",
        b'{"online":true,"boot":1e300}',
    ],
)
def test_any_other_presence_is_refused(payload: bytes) -> None:
    """It says neither online nor offline."""
    assert isinstance(decode_presence(payload, LIMITS), Refusal)
