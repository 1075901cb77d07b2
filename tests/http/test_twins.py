"""Twins over HTTP: reading, changing, deleting."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import requests
import zstandard

from tests.http.served import Served


def test_a_program_reads_merges_and_reads_the_merged_record(served: Served) -> None:
    """The first thing that anybody tries, with `requests` as it comes."""
    url = f"{served.url}/v1/twins/user-1/reported"
    requests.put(url, json={"name": "John", "age": 30}, timeout=10)
    assert requests.get(url, timeout=10).json() == {"name": "John", "age": 30}
    answer = requests.post(url, json={"age": 31}, timeout=10)
    assert answer.status_code == 200, answer.text
    assert requests.get(url, timeout=10).json() == {"name": "John", "age": 31}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": ""}]
)
def test_a_client_that_forgets_the_content_type_is_understood(
    served: Served, method: str, headers: dict[str, str]
) -> None:
    """`requests` sends none with a text, and curl says that it is a form."""
    path = "/v1/twins/forgetful/desired"
    served.ask("PUT", path, json={"name": "John", "age": 30})
    answer = served.ask(method, path, data='{"age": 31}', headers=headers)
    assert answer.status_code == 200, answer.text
    assert served.ask("GET", path).json() == {"name": "John", "age": 31}


def test_the_version_is_the_entity_tag(served: Served) -> None:
    """Who has the present version is told 304; a stale write is refused with 412."""
    path = "/v1/twins/tagged"
    served.ask("PATCH", f"{path}/desired", json={"on": True})
    first = served.ask("GET", path)
    assert first.headers["etag"] == f'"{first.json()["version"]}"'
    again = served.ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    fresh = served.ask(
        "PATCH", f"{path}/desired", json={"on": False}, headers={"If-Match": first.headers["etag"]}
    )
    assert fresh.status_code == 200
    stale = served.ask(
        "PATCH", f"{path}/desired", json={"on": True}, headers={"If-Match": first.headers["etag"]}
    )
    assert stale.status_code == 412
    assert stale.json()["error"] == "version_mismatch"
    assert served.ask("GET", path, headers={"If-None-Match": first.headers["etag"]}).json()[
        "desired"
    ] == {"on": False}


def test_what_is_answered_is_on_the_disk(served: Served) -> None:
    """The store has it, not only the memory."""
    version = served.ask("PATCH", "/v1/twins/durable/desired", json={"a": 1}).json()["version"]
    rows = served.store(lambda store: store.changed_since(0, None, 1000))
    (row,) = [row for row in rows if row.key.device == "durable"]
    assert row.version == version
    assert json.loads(row.state)["desired"] == {"a": 1}


def test_a_json_patch_is_applied(served: Served) -> None:
    """RFC 6902; a failing test is a conflict, and what cannot be applied is told."""
    path = "/v1/twins/patched/desired"
    headers = {"Content-Type": "application/json-patch+json"}
    served.ask("PUT", path, json={"list": [1, 2], "gone": 1})
    operations = [
        {"op": "test", "path": "/gone", "value": 1},
        {"op": "remove", "path": "/gone"},
        {"op": "add", "path": "/list/-", "value": 3},
    ]
    answer = served.ask("PATCH", path, data=json.dumps(operations), headers=headers)
    assert answer.status_code == 200, answer.text
    assert served.ask("GET", path).json() == {"list": [1, 2, 3]}
    failing = json.dumps([{"op": "test", "path": "/list", "value": []}])
    assert served.ask("PATCH", path, data=failing, headers=headers).status_code == 409
    odd: object
    for odd in ([{"op": "remove", "path": "/x"}], [{"op": "fly"}], ["x"], [{}], [None]):
        refused = served.ask("PATCH", path, data=json.dumps(odd), headers=headers)
        assert refused.status_code == 422, (odd, refused.text)
    assert served.ask("PATCH", path, data="{", headers=headers).status_code == 400


def test_copies_in_a_json_patch_cannot_fill_the_memory(served: Served) -> None:
    """Each copy doubles: without a bound these would be more than a terabyte."""
    path = "/v1/twins/doubling/desired"
    served.ask("PUT", path, json={"a": {"b": "x" * 1000}})
    operations = [{"op": "copy", "from": "/a", "path": f"/a/{n}"} for n in range(30)]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = served.ask("PATCH", path, data=json.dumps(operations), headers=headers)
    assert answer.status_code == 413, answer.text


def test_msgpack_goes_both_ways(served: Served) -> None:
    """By `Content-Type` and `Accept`."""
    path = "/v1/twins/packed/reported"
    headers = {"Content-Type": "application/msgpack"}
    sent = served.ask("PUT", path, data=msgpack.packb({"t": 1.5}), headers=headers)
    assert sent.status_code == 200, sent.text
    read = served.ask("GET", path, headers={"Accept": "application/msgpack"})
    assert read.headers["content-type"] == "application/msgpack"
    assert msgpack.unpackb(read.content) == {"t": 1.5}


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_bodies_are_compressed_both_ways(served: Served, encoding: str) -> None:
    """A large section, there and back."""
    path = f"/v1/twins/large-{encoding}/reported"
    value = {"text": "hello " * 1000}
    plain = json.dumps(value).encode()
    body = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    sent = served.ask("PUT", path, data=body, headers={"Content-Encoding": encoding})
    assert sent.status_code == 200, sent.text
    read = served.ask("GET", path, headers={"Accept-Encoding": encoding}, stream=True)
    assert read.headers["content-encoding"] == encoding
    raw = read.raw.read(decode_content=False)
    assert len(raw) < len(plain) // 4
    unpacked = gzip.decompress(raw) if encoding == "gzip" else zstandard.decompress(raw)
    assert json.loads(unpacked) == value


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_that_expands_without_end_is_refused(served: Served, encoding: str) -> None:
    """A kilobyte that becomes 100 megabytes is not even expanded."""
    zeros = b"0" * 100_000_000
    bomb = gzip.compress(zeros, 1) if encoding == "gzip" else zstandard.compress(zeros)
    headers = {"Content-Encoding": encoding}
    answer = served.ask("PUT", "/v1/twins/bomb/reported", data=bomb[:250_000], headers=headers)
    assert answer.status_code == 413, answer.text


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("change", [lambda body: body[:-1], lambda body: body + b"x"])
def test_a_body_is_one_whole_stream(
    served: Served, encoding: str, change: Callable[[bytes], bytes]
) -> None:
    """Cut short, or with bytes behind it, it is refused and nothing changes."""
    plain = b'{"on":true}'
    body = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    headers = {"Content-Encoding": encoding}
    answer = served.ask("PUT", "/v1/twins/odd/reported", data=change(body), headers=headers)
    assert answer.status_code == 400, answer.text
    assert served.ask("GET", "/v1/twins/odd").status_code == 404


def test_a_body_that_is_too_large_is_refused(served: Served) -> None:
    """413, as problem details."""
    answer = served.ask("PUT", "/v1/twins/huge/reported", data=b" " * 300_000)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 413


def test_a_whole_section_is_put_and_a_twin_deleted(served: Served) -> None:
    """What is not in it goes; after the deletion there is nothing."""
    path = "/v1/twins/whole/config"
    served.ask("PATCH", f"{path}/desired", json={"a": 1, "b": 2})
    served.ask("PUT", f"{path}/desired", json={"b": 3})
    assert served.ask("GET", path).json()["desired"] == {"b": 3}
    assert served.ask("DELETE", path).status_code == 200
    assert served.ask("GET", path).status_code == 404
    assert served.ask("DELETE", path).status_code == 404


def test_what_changed_and_who_wrote_it_can_be_asked(served: Served) -> None:
    """`since`, `meta`, `at` and `select`."""
    path = "/v1/twins/asked"
    served.ask("PATCH", f"{path}/desired", json={"a": 1})
    first = served.ask("GET", path).json()["version"]
    served.ask("PATCH", f"{path}/desired", json={"b": 2})
    since = served.ask("GET", path, params={"since": first}).json()
    assert since["desired"] == {"b": 2}
    assert since["since"] == first
    meta = served.ask("GET", path, params={"meta": "true"}).json()["meta"]["desired"]
    assert meta["b"]["$changed_by"] == "http"
    assert served.ask("GET", path, params={"at": first}).json()["desired"] == {"a": 1}
    chosen = served.ask("GET", path, params={"select": "desired.b"}).json()
    assert chosen["desired"] == {"b": 2}
    assert "reported" not in chosen


def test_twins_are_listed_page_by_page(served: Served) -> None:
    """By pattern, in order, forth and back, and each once."""
    for number in range(7):
        served.ask("PATCH", f"/v1/twins/row-{number}/desired", json={"n": number})
    for sort in ("device", "-device"):
        seen: list[str] = []
        cursor = None
        while True:
            params = {"device": "row-*", "limit": 3, "sort": sort, "cursor": cursor}
            page = served.ask("GET", "/v1/twins", params=params).json()
            seen += [twin["device"] for twin in page["twins"]]
            cursor = page["next"]
            if cursor is None:
                break
        expected = [f"row-{number}" for number in range(7)]
        assert seen == (expected if sort == "device" else expected[::-1])
    (one,) = served.ask("GET", "/v1/twins", params={"device": "row-3"}).json()["twins"]
    assert one["desired"] == {"n": 3}


def test_the_past_is_told_and_brought_back(served: Served) -> None:
    """History, differences, conflicts and a rollback."""
    path = "/v1/twins/past"
    first = served.ask("PATCH", f"{path}/desired", json={"a": 1}).json()["version"]
    second = served.ask("PATCH", f"{path}/desired", json={"a": 2}).json()["version"]
    history = served.ask("GET", f"{path}/history").json()["history"]
    assert [row["version"] for row in history] == [second, first]
    diff = served.ask("GET", f"{path}/diff", params={"from": first, "to": second}).json()
    assert diff["desired"]["patch"] == {"a": 2}
    assert served.ask("GET", f"{path}/conflicts").json() == {"conflicts": []}
    back = served.ask("POST", f"{path}/rollback", json={"to": first})
    assert back.status_code == 200, back.text
    assert served.ask("GET", path).json()["desired"] == {"a": 1}
    assert served.ask("GET", "/v1/quarantine").json() == {"quarantine": [], "next": None}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/twins/..%2f..%2fetc%2fpasswd",
        "/v1/twins/%2e%2e/reported",
        "/v1/twins/a%00b",
        "/v1/twins/" + "x" * 129,
        "/v1/twins/a/desire",
        "/v1/twins/a/b/c/d",
        "/v1/twins/%ff",
        "/etc/passwd",
        "//v1/twins",
    ],
)
def test_odd_ids_lead_nowhere(served: Served, path: str) -> None:
    """They are no twins, and no files."""
    prepared = requests.Request("GET", served.url).prepare()
    prepared.url = served.url + path
    answer = requests.Session().send(prepared, timeout=10)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "device",
    [
        "..%2f..%2fetc",
        "%2e%2e",
        ".hidden",
        "$bridge",
        "a%00b",
        "a%23",
        "a+b",
        "%c3%a9",
        "a b",
        "a/$x",
    ],
)
def test_odd_ids_are_not_written(served: Served, device: str) -> None:
    """No topic could name such a twin, nor anything else that is made of an id."""
    prepared = requests.Request("PATCH", served.url, json={"a": 1}).prepare()
    prepared.url = f"{served.url}/v1/twins/{device}/desired"
    before = served.store(lambda store: store.count_twins())
    answer = requests.Session().send(prepared, timeout=10)
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert served.store(lambda store: store.count_twins()) == before


def test_every_refusal_is_a_problem(served: Served) -> None:
    """RFC 9457, with the right status."""
    cases: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "/v1/twins/nobody", {}, 404),
        ("PATCH", "/v1/twins/a/desired", {"data": "["}, 400),
        ("PATCH", "/v1/twins/a/desired", {"data": "x"}, 415),
        ("PATCH", "/v1/twins/a/desired", {"data": ""}, 400),
        ("PATCH", "/v1/twins/a/desired", {"headers": {"If-Match": "x"}, "data": "{}"}, 400),
        ("PATCH", "/v1/twins/a/desired", {"headers": {"Content-Type": "image/png"}}, 415),
        ("PUT", "/v1/twins", {}, 405),
        ("GET", "/v1/twins?limit=0", {}, 400),
        ("GET", "/v1/twins?cursor=x", {}, 400),
        ("GET", "/v1/twins?device=a//b", {}, 400),
        ("GET", "/v1/twins?select=x", {}, 400),
        ("GET", "/v1/nothing", {}, 404),
    ]
    for method, path, options, status in cases:
        answer = served.ask(method, path, **options)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_no_route_takes_a_parameter_that_it_does_not_have(served: Served) -> None:
    """Each names those that it has; what is misspelled would else be passed over in silence."""
    document = served.ask("GET", "/openapi.json").json()
    tried = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            given = operation.get("parameters", [])
            names = ", ".join(sorted(one["name"] for one in given if one["in"] == "query"))
            address = path.format(device="lamp-1", name="net", change="0" * 8, id="1")
            answer = served.ask(method.upper(), f"{address}?nope=1")
            assert answer.status_code == 400, (method, path, answer.text)
            expected = f"`nope` is no parameter here: there are {names or 'none'}"
            assert answer.json()["detail"] == expected, path
            tried += 1
    assert tried >= 25


@pytest.mark.parametrize("path", ["lamp%201", ".lamp", "lamp+1/desired", "a" * 129])
def test_what_can_be_no_device_is_told_from_one_that_is_not_there(
    served: Served, path: str
) -> None:
    """With the rule."""
    answer = served.ask("GET", f"/v1/twins/{path}")
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith("is no device id")
    assert answer.json()["hint"].startswith("a device id is 1 to 128 of A-Z a-z 0-9")
    named = served.ask("GET", "/v1/twins/lamp-1/report")
    assert (named.status_code, named.json()["detail"]) == (400, "'report' is no name of a twin")
    assert served.ask("GET", f"/v1/twins/{'a' * 128}").status_code == 404
