"""What was refused without an answer, over HTTP: for whoever may read what it was about."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from bridge import metrics
from bridge.config import PermissionsConfig
from bridge.http import quarantine_routes
from bridge.wire.wrappers import SEALED
from tests.http.served import Served, http_config, serving
from tests.http.test_tokens import bearer, make_token
from tests.support.bridge import connected_client
from tests.support.mosquitto import Mosquitto

WAIT_S = 60.0

PERMISSIONS = """\
principals: [anna, bert]
rules:
  anna:
    "lamp-*":
      reported.**: read
      desired.**: read
  bert:
    lamp-1:
      reported.**: read
"""

SEALED_FRAME: bytes = msgpack.packb(msgpack.ExtType(SEALED, b"x" * 40))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A bridge with permissions, and five messages in its quarantine."""
    directory: Path = tmp_path_factory.mktemp("guarded")
    file = directory / "permissions.yaml"
    file.write_text(PERMISSIONS)
    with Mosquitto(directory / "mosquitto") as broker:
        config = http_config(broker, directory, permissions=PermissionsConfig(file=file))
        with serving(config) as running:
            asyncio.run(fill(broker, running))
            yield running


async def fill(broker: Mosquitto, served: Served) -> None:
    """Send what is refused, and wait until it is kept."""
    async with connected_client(broker) as client:
        await client.publish("sync/lamp-1/report", b'{"broken": ' + "ä".encode() * 1000)
        await client.publish("sync/lamp-1/desire/carl", {"on": True})
        await client.publish("sync/plug-1/report", b"[1]")
        await client.publish("sync/lamp-2/report", SEALED_FRAME)
        await client.publish("sync/lamp-1/report", b"\xff\xfe")
        async with asyncio.timeout(WAIT_S):
            while served.bridge.counters.value(metrics.QUARANTINED) < 5:
                await asyncio.sleep(0.01)


def page(served: Served, principal: str, **query: object) -> dict[str, object]:
    """A page of the list, for a principal."""
    headers = bearer(make_token(served, principal))
    answer = served.ask("GET", "/v1/quarantine", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def rows(served: Served, principal: str, **query: object) -> list[dict[str, object]]:
    """The messages of one page."""
    found = page(served, principal, **query)["quarantine"]
    assert isinstance(found, list)
    return found


def test_a_message_tells_who_sent_it_and_what_was_wrong(guarded: Served) -> None:
    """The newest first: with size, and the beginning of the payload."""
    binary, sealed, forbidden, broken = rows(guarded, "anna")
    assert (binary["payload_base64"], binary["size_bytes"]) == ("//4=", 2)
    assert sealed["withheld"] == "sealed"
    assert not {"payload", "payload_base64"} & sealed.keys()
    assert (sealed["device"], sealed["size_bytes"]) == ("lamp-2", len(SEALED_FRAME))
    assert (forbidden["writer"], forbidden["code"], forbidden["error"]) == (
        "carl",
        403,
        "forbidden",
    )
    assert forbidden["payload"] == '{"on":true}'
    # A text stays a text, although it is cut within a character.
    assert broken["payload"] == '{"broken": ' + "ä" * 506
    assert broken["size_bytes"] == 2011


def test_one_message_is_shown_with_all_that_is_kept(guarded: Served) -> None:
    """By its id; for others there is none."""
    *_, broken = rows(guarded, "anna")
    path = f"/v1/quarantine/{broken['id']}"
    shown = guarded.ask("GET", path, headers=bearer(make_token(guarded, "anna")))
    assert shown.json()["payload"] == '{"broken": ' + "ä" * 1000
    hidden = guarded.ask("GET", path, headers=bearer(make_token(guarded, "bert")))
    unknown = guarded.ask("GET", "/v1/quarantine/99", headers=bearer(make_token(guarded, "anna")))
    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert hidden.headers["content-type"] == "application/problem+json"


def test_who_may_not_read_all_of_a_twin_sees_no_refusal_about_it(guarded: Served) -> None:
    """Nor of twins of which it may read nothing, nor of topics that are of no twin."""
    assert {row["device"] for row in rows(guarded, "anna")} == {"lamp-1", "lamp-2"}
    assert page(guarded, "bert") == {"quarantine": [], "next": None}


def test_the_list_is_filtered_by_device_reason_and_time(guarded: Served) -> None:
    """All that is given has to apply."""
    assert len(rows(guarded, "anna", device="lamp-1")) == 3
    [forbidden] = rows(guarded, "anna", reason="forbidden")
    at = forbidden["at"]
    assert isinstance(at, int)
    assert rows(guarded, "anna", reason="forbidden", since=at, until=at + 1) == [forbidden]
    assert rows(guarded, "anna", reason="forbidden", until=at) == []
    assert rows(guarded, "anna", since="2099-01-01T00:00:00Z") == []


def test_pages_tell_where_the_next_one_begins(guarded: Served) -> None:
    """Without a gap or a repeat; null at the end."""
    whole = rows(guarded, "anna")
    first = page(guarded, "anna", limit=3)
    assert first["quarantine"] == whole[:3]
    last = page(guarded, "anna", limit=3, before=first["next"])
    assert last == {"quarantine": whole[3:], "next": None}


def test_a_page_is_bounded_also_where_nothing_may_be_seen(
    guarded: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends early, and says where to go on."""
    monkeypatch.setattr(quarantine_routes, "LOOKED_AT", 2)
    monkeypatch.setattr(quarantine_routes.rows, "LIMIT_MAX", 2)
    empty = page(guarded, "bert")
    assert empty["quarantine"] == []
    assert empty["next"] is not None
    assert page(guarded, "bert", before=empty["next"])["next"] != empty["next"]
    assert [row["id"] for row in rows(guarded, "anna", before=4)] == [2]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "before=0", "device=a/b", "reason=", "since=14", "until=yesterday"],
)
def test_a_list_that_makes_no_sense_is_a_problem(guarded: Served, query: str) -> None:
    """400, with what is wrong."""
    headers = bearer(make_token(guarded, "anna"))
    answer = guarded.ask("GET", f"/v1/quarantine?{query}", headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
