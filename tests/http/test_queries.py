"""`where=` on the list of twins."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from bridge.core.topics import TwinKey
from bridge.http import searching
from bridge.query.language import LENGTH_MAX
from tests.http.served import Served
from tests.query.test_language import HOSTILE, OVERSIZED
from tests.support.bridge import WAIT_S

FLEET = {
    "cell-1": {"battery": 10, "mode": "eco"},
    "cell-2": {"battery": 90, "mode": "eco"},
    "cell-3": {"battery": 15, "mode": "night"},
    "cell-3/setup": {"battery": 5},
    "dish-1": {"battery": 12},
}


@pytest.fixture(scope="module", autouse=True)
def fleet(served: Served) -> None:
    """Some twins, one of them named."""
    for twin, reported in FLEET.items():
        assert served.ask("PUT", f"/v1/twins/{twin}/reported", json=reported).status_code == 200


def find(served: Served, where: str, **parameters: Any) -> Any:
    """The answer to a query."""
    answer = served.ask("GET", "/v1/twins", params={"where": where, **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(answer: Any) -> list[str]:
    """The twins of an answer."""
    return ["/".join(filter(None, (t["device"], t["name"]))) for t in answer["twins"]]


def test_finds_twins_by_what_they_hold(served: Served) -> None:
    """With their documents, in order, either way."""
    answer = find(served, "reported.battery < 20 AND reported.mode IS NOT NULL")
    assert names(answer) == ["cell-1", "cell-3"]
    assert answer["twins"][0]["reported"] == FLEET["cell-1"]
    assert answer["next"] is None
    backwards = find(served, "reported.battery < 20", sort="-device")
    assert names(backwards) == ["dish-1", "cell-3/setup", "cell-3", "cell-1"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("cell-*", ["cell-1", "cell-3", "cell-3/setup"]),
        ("cell-3", ["cell-3", "cell-3/setup"]),
        ("*/set*", ["cell-3/setup"]),
        ("cell-3/setup", ["cell-3/setup"]),
        ("*sh-*", ["dish-1"]),
    ],
)
def test_a_pattern_and_a_query_both_hold(served: Served, pattern: str, found: list[str]) -> None:
    """As the pattern does without a query."""
    assert names(find(served, "reported.battery < 20", device=pattern)) == found
    listed = served.ask("GET", "/v1/twins", params={"device": pattern}).json()
    assert set(found) <= set(names(listed))


@pytest.mark.parametrize("sort", ["device", "-device"])
def test_goes_on_page_by_page(served: Served, sort: str) -> None:
    """Each twin once, with a selection of it."""
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = find(
            served, "reported.battery < 20", limit=1, select="reported.battery", sort=sort, **cursor
        )
        assert all(twin["reported"].keys() == {"battery"} for twin in answer["twins"])
        seen += names(answer)
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    expected = ["cell-1", "cell-3", "cell-3/setup", "dish-1"]
    assert seen == (expected if sort == "device" else expected[::-1])


@pytest.mark.parametrize(
    ("where", "position"),
    [
        ("online AND batery < 3", 12),
        ("online AND\n batery < 3", 13),
        ("online; DROP TABLE twin", 7),
        ("online AND", 10),
        ("reported.a\n = = 1", 15),
        ("abs(version) = 1", 4),
    ],
)
def test_says_where_the_mistake_is(served: Served, where: str, position: int) -> None:
    """As a number, from one, beside the text."""
    answer = served.ask("GET", "/v1/twins", params={"where": where})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["position"] == position, problem
    assert str(position) in problem["detail"]
    assert "allowed" in problem["hint"]


TRICKS = (
    "device = 'a\u2019 OR 1=1",
    "\uff4fnline",
    "online\u202e DNA",
    "device \uff1d 'a'",
    "online\u00a0AND online",
    "d\u0435vice = 'a'",
    "\ufeffonline = 1; SELECT 1",
    "reported.a = 'x\u2028' UNION SELECT 1",
    "reported.'; DROP TABLE twin; --' = 1",
    "reported.\"'); DROP TABLE twin; --\" = '\"'); DROP TABLE twin; --'",
    "reported.a LIKE '" + "%_" * 8 + "'",
    "reported.a GLOB '" + "*a" * 9 + "'",
    "device LIKE '" + "a" * 300 + "'",
    "reported.a = '\ud83d\ude00'".encode("utf-16", "surrogatepass").decode("utf-16"),
    "reported.a = '\U0010ffff'",
    "online\x00",
    "online\t\r\nAND\x0bonline",
    "\\",
    "`online`",
    "[online]",
    "'online'",
    "reported.a = 'a' 'b'",
    "reported.a = N'a'",
    "reported.a = E'a'",
    "reported.a = $$a$$",
    "reported.a = 1_000",
    "reported.a = 1..2",
    "reported.a = @x",
    "{{ online }}",
    "/*+ hint */ online",
    "online #",
    "reported.a NOT NULL",
    "reported.a ISNULL",
    "reported.a IS DISTINCT FROM 1",
    "reported.a BETWEEN SYMMETRIC 2 AND 1",
    "reported.a = ANY(1)",
    "reported.a -> 'x' = 1",
    "reported.a::int = 1",
    "(online, online) = (1, 1)",
)


@pytest.mark.parametrize(
    "where", [*HOSTILE, *OVERSIZED, *TRICKS], ids=lambda text: ascii(text)[:30]
)
def test_a_hostile_query_does_no_harm(served: Served, where: str) -> None:
    """It is refused, or finds what it says, and all twins are there afterwards."""
    encoded = {"where": where.encode("utf-8", "surrogatepass")}
    answer = served.ask("GET", "/v1/twins", params=encoded)
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["twins"] == [], where
    assert names(find(served, "version > 0 AND reported.battery > 0")) == sorted(FLEET)


def test_a_query_that_is_too_long_is_refused(served: Served) -> None:
    """Before it is read."""
    answer = served.ask("GET", "/v1/twins", params={"where": "x" * (LENGTH_MAX + 1)})
    assert answer.status_code == 400
    assert str(LENGTH_MAX) in answer.json()["detail"]


def test_only_so_many_queries_wait(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes beyond that is told when to come again, and is served then."""
    monkeypatch.setattr(searching, "QUERIES_WAITING", 0)
    goes_on, are_running = threading.Event(), threading.Barrier(searching.QUERIES_MAX + 1)

    def admit(_question: searching.Question, _key: TwinKey) -> bool:
        if not goes_on.is_set():
            are_running.wait(WAIT_S)
            goes_on.wait(WAIT_S)
        return True

    monkeypatch.setattr(searching.Question, "admits", admit)
    url, parameters = f"{served.url}/v1/twins", {"where": "device = 'dish-1'"}

    def ask() -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, params=parameters, timeout=WAIT_S)

    with ThreadPoolExecutor(searching.QUERIES_MAX) as threads:
        try:
            asked = [threads.submit(ask) for _ in range(searching.QUERIES_MAX)]
            are_running.wait(WAIT_S)
            refused = ask()
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        finally:
            goes_on.set()
        assert all(names(one.result().json()) == ["dish-1"] for one in asked)
    assert ask().status_code == 200


def test_a_cursor_is_held_against_the_grammar(served: Served) -> None:
    """As without a query."""
    answer = served.ask("GET", "/v1/twins", params={"where": "online", "cursor": "%%%"})
    assert answer.status_code == 400
