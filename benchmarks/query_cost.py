"""What a query over HTTP takes beside SQLite's own time for the same statement.

A bridge in this process holds a store of many twins, with an index on one field, and answers
`GET /v1/twins?where=…` over TCP: reading the query, choosing the index, a connection of its own to
the store, the statement, and the answer in JSON. SQLite's time is that of the same statement on a
connection that is open already, with all rows fetched. Both are asked in turns.

    python -m benchmarks.query_cost --twins 100000 --rounds 20 --json query.json
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple
from urllib.parse import urlencode

import orjson

from benchmarks.arguments import bounded
from benchmarks.fleet import device_name
from benchmarks.http_cost import free_port
from benchmarks.report import save_json
from bridge.config import BrokerConfig, Config, HttpConfig, StoreConfig
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.query.language import parse_where
from bridge.service import Bridge
from bridge.store.base import CommitBatch, StoredTwin, StoreLimits
from bridge.store.codec import encode_internals
from bridge.store.indexes import choose_range
from bridge.store.queries import conjuncts_of, statement_of
from bridge.store.sqlite import SqliteStore

MORE_AT_MOST_MS: Final = 50.0
"""What a query on an indexed field may take more than SQLite does."""

PAGE: Final = 100

BATCH_TWINS: Final = 5000

INDEXED: Final = "reported.n"

_AT: Final = 1_795_000_000_000_000
_FAR: Final = 10**9


class Case(NamedTuple):
    """One query, and the share of all twins that it finds."""

    name: str
    where: str
    is_indexed: bool


class Taken(NamedTuple):
    """Milliseconds, in the median: over HTTP, and of SQLite; and how many twins came."""

    ours: float
    sqlite: float
    rows: int


def cases(twins: int) -> list[Case]:
    """Return what is asked of so many twins, whose `reported.n` runs from 0."""
    few = max(1, twins // 1000)
    return [
        Case("one twin", f"reported.n = {twins // 2}", True),
        Case("0.1 % of them", f"reported.n < {few} AND reported.on", True),
        Case("5 % of them", f"reported.n >= {twins - few * 50} AND reported.mode = 'eco'", True),
        Case("all of them", "reported.n >= 0 AND reported.on", True),
        Case("without an index", f"reported.m = {twins // 2}", False),
    ]


def seed(path: Path, twins: int) -> None:
    """Make a store of twins as the bridge publishes them.

    What is remembered of their registers is that of an empty twin: a query does not read it.
    """
    internals = encode_internals(Twin(TwinKey("seed")))
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        for first in range(0, twins, BATCH_TWINS):
            batch = range(first, min(first + BATCH_TWINS, twins))
            store.commit(CommitBatch([_row(number, internals) for number in batch]))


def _row(number: int, internals: bytes) -> StoredTwin:
    # Neighbours by key are not neighbours by value: 7919 is a prime, and divides no round number.
    value = number * 7919
    reported = {"n": number, "m": number, "on": True, "mode": "eco", "hash": value % 997}
    reported |= {"temperature": 20 + value % 997 / 100, "humidity": 40.5, "firmware": "x" * 64}
    state = {"version": 1, "at": _AT, "reported": reported, "desired": {"mode": "eco"}}
    key = TwinKey(device_name(value % _FAR))
    return StoredTwin(key, 1, 1, 1, True, _AT, orjson.dumps(state), None, internals)


class Asker:
    """Asks over HTTP, and asks SQLite.

    Args:
        port: Where the bridge answers.
        path: Its store.
    """

    def __init__(self, port: int, path: Path) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._sqlite = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def close(self) -> None:
        """Close both connections."""
        self._http.close()
        self._sqlite.close()

    def ask_bridge(self, where: str) -> list[str]:
        """Return the devices of the first page that the bridge answers with.

        Raises:
            RuntimeError: It answers with something else.
        """
        self._http.request("GET", "/v1/twins?" + urlencode({"where": where, "limit": PAGE}))
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the bridge answered {answer.status}: {body[:500]!r}")
        return [twin["device"] for twin in orjson.loads(body)["twins"]]

    def ask_sqlite(self, statement: str, parameters: Sequence[str | int | float]) -> list[str]:
        """Return the devices of the rows of a statement."""
        return [row[0] for row in self._sqlite.execute(statement, parameters).fetchall()]

    def statement(self, where: str) -> tuple[str, list[str | int | float]]:
        """Return the statement that a query becomes, and what is bound to it."""
        term = parse_where(where)
        chosen = choose_range(self._sqlite, conjuncts_of(term))
        statement, parameters = statement_of(term, None, chosen, descending=False)
        return statement, [*parameters, PAGE]

    def measure(self, case: Case, rounds: int) -> Taken:
        """Ask both in turns.

        Raises:
            RuntimeError: They do not find the same twins.
        """
        statement, parameters = self.statement(case.where)
        ours, reference = [], []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            found = self.ask_bridge(case.where)
            between = time.perf_counter()
            expected = self.ask_sqlite(statement, parameters)
            ended = time.perf_counter()
            if found != expected:
                raise RuntimeError(f"{case.where}: the bridge and SQLite do not find the same")
            ours.append((between - began) * 1000)
            reference.append((ended - between) * 1000)
        # The first round fills the caches.
        return Taken(median(ours[1:]), median(reference[1:]), len(found))


async def measure(twins: int, rounds: int) -> Iterator[tuple[Case, Taken]]:
    """Return what each case takes."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.db"
        await asyncio.to_thread(seed, path, twins)
        config = Config(
            # Nobody listens there: there is nothing to do beside answering.
            broker=BrokerConfig(url=f"mqtt://127.0.0.1:{free_port()}"),
            store=StoreConfig(path=path, indexes=INDEXED),
            http=HttpConfig(listen="127.0.0.1:0"),
        )
        async with Bridge(config) as bridge:
            assert bridge.http_address is not None  # noqa: S101 - as configured
            port = bridge.http_address[1]
            found = await asyncio.to_thread(_measure_all, port, path, twins, rounds)
    return iter(found)


def _measure_all(port: int, path: Path, twins: int, rounds: int) -> list[tuple[Case, Taken]]:
    with closing(Asker(port, path)) as asker:
        return [
            (case, asker.measure(case, rounds if case.is_indexed else 3)) for case in cases(twins)
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; ends with 1 if an indexed query takes more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.query_cost", description=__doc__)
    parser.add_argument("--twins", type=bounded(10, 1_000_000), default=100_000)
    parser.add_argument("--rounds", type=bounded(1, 1000), default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    found = dict(asyncio.run(measure(options.twins, options.rounds)))
    print(f"{'ms':>18} {'twins':>6} {'over HTTP':>10} {'SQLite':>8} {'more':>8}")
    for case, taken in found.items():
        more = taken.ours - taken.sqlite
        figures = f"{taken.rows:6} {taken.ours:10.1f} {taken.sqlite:8.1f} {more:8.1f}"
        print(f"{case.name:>18} {figures}")
    if options.json is not None:
        save_json(options.json, {case.name: taken._asdict() for case, taken in found.items()})
    within = [t.ours - t.sqlite <= MORE_AT_MOST_MS for c, t in found.items() if c.is_indexed]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
