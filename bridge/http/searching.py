"""Queries over HTTP: what a principal may ask, and how many are answered at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from bridge.api.administration import run_beside
from bridge.api.problems import RequestProblem
from bridge.core.paths import path_text
from bridge.core.pattern import DevicePattern, is_literal
from bridge.core.section import Path
from bridge.core.topics import TwinKey
from bridge.core.update import SECTIONS, SectionName
from bridge.http.backend import Backend
from bridge.http.reading import access_of, forbid
from bridge.query.language import parse_where
from bridge.query.terms import Comparison, Field, Junction, Match, Term, fields_of
from bridge.store.base import Store

QUERIES_MAX: Final = 2
"""Queries at the same time: each takes a thread and a processor, for `QUERY_TIMEOUT_S` at most."""

QUERIES_WAITING: Final = 32
"""Queries that wait for their turn; who asks beyond that is told to come again."""

QUERIES_REMEMBERED: Final = 64
"""Queries that are kept parsed: readers of a stream who ask the same share what comes of it."""

FOUND_BYTES_MAX: Final = 4 * 1024 * 1024
"""A page of found twins ends where they have so many bytes."""

_parse = lru_cache(maxsize=QUERIES_REMEMBERED)(parse_where)


class Question:
    """What a principal asks; made by `ask`.

    Twins of which it may not read what is asked for are as if they were not there, so that no
    answer tells of them.

    Attributes:
        principal: Who asks.
        term: The query.
        pattern: Which twins are meant.
    """

    def __init__(
        self, backend: Backend, principal: str, term: Term, pattern: DevicePattern
    ) -> None:
        self.principal: Final = principal
        self.term: Final = term
        self.pattern: Final = pattern
        self._backend = backend
        paths = {field.path for field in fields_of(term)}
        self._paths: Final[tuple[tuple[SectionName, Path], ...]] = tuple(
            (section, path[1:]) for section in SECTIONS for path in paths if path[0] == section
        )
        permissions = backend.permissions
        if permissions is None:
            return
        for section, path in sorted(self._paths):
            if not permissions.reads_somewhere(principal, pattern, section, path):
                raise forbid(principal, f"read {path_text((section, *path))}")

    @property
    def whole_term(self) -> Term:
        """The query and the pattern as one."""
        return Junction("AND", (*_terms_of(self.pattern), self.term))

    def admits(self, key: TwinKey) -> bool:
        """Tell whether who asks may read of a twin what is asked for."""
        access = access_of(self._backend, self.principal, key)
        if access is None:
            return True
        return access.reads_some and all(
            access.grant(section, "read").allows_below(path) for section, path in self._paths
        )


async def ask(backend: Backend, principal: str, where: str, pattern: DevicePattern) -> Question:
    """Return a question.

    Raises:
        QueryError: It is not of the language.
        RequestRefused: It asks for a path that the principal may read of no twin.
    """
    # Not on the event loop: the longest query takes some 10 ms to read.
    term = await asyncio.to_thread(_parse, where)
    return Question(backend, principal, term, pattern)


async def ask_to_follow(
    backend: Backend, searcher: Searcher, principal: str, where: str | None, pattern: DevicePattern
) -> tuple[Question, Searcher] | None:
    """Return a question for one who wants to follow it, and who searches; None without a query.

    Raises:
        QueryError: It is not of the language.
        RequestRefused: It asks for a path that the principal may read of no twin.
        RequestProblem: Too many follow queries already.
    """
    if where is None:
        return None
    searcher.require_room()
    return await ask(backend, principal, where, pattern), searcher


def _terms_of(pattern: DevicePattern) -> list[Term]:
    """Return a device pattern as conditions; ids and names hold none of the signs of GLOB."""
    found: list[Term] = []
    for field, parts in ((Field(("device",)), pattern.device), (Field(("name",)), pattern.name)):
        if parts is None or parts == ("", ""):
            continue
        if is_literal(parts):
            found.append(Comparison(field, "=", parts[0]))
        else:
            found.append(Match(field, "GLOB", "*".join(parts)))
    if pattern.name is not None:
        found.append(Comparison(Field(("name",)), "!=", ""))
    return found


class Searcher:
    """Answers questions beside the pipeline, some at a time.

    Args:
        backend: Holds the twins.
        followed_max: How many queries may be followed at the same time.
    """

    def __init__(self, backend: Backend, followed_max: int) -> None:
        self._backend = backend
        self._followed_max = followed_max
        self._followed = 0
        self._running = asyncio.Semaphore(QUERIES_MAX)
        self._searches: set[asyncio.Task[list[tuple[TwinKey, bytes]]]] = set()

    async def find(
        self, question: Question, after: TwinKey | None, limit: int, *, descending: bool = False
    ) -> tuple[list[tuple[TwinKey, bytes]], TwinKey | None]:
        """Return twins that answer a question, and the key behind which there may be more.

        Args:
            question: The question.
            after: Only those behind this one.
            limit: Most that are returned.
            descending: Backwards; behind is then before.

        Raises:
            QueryError: It took too long.
            RequestProblem: Too many wait already.
            StoreError: The store cannot be read.
        """
        if len(self._searches) >= QUERIES_MAX + QUERIES_WAITING:
            raise RequestProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{QUERIES_WAITING} queries wait already",
                hint="come again later, or follow the query: /v1/stream?where=…",
            )

        def search(store: Store) -> list[tuple[TwinKey, bytes]]:
            return store.find(
                question.whole_term,
                after,
                limit,
                descending=descending,
                admits=question.admits,
                bytes_max=FOUND_BYTES_MAX,
            )

        async def run() -> list[tuple[TwinKey, bytes]]:
            async with self._running:
                return await run_beside(self._backend, search)

        # A thread goes on where who has asked has gone; until it ends it counts as one.
        task = asyncio.create_task(run(), name="query")
        self._searches.add(task)
        task.add_done_callback(self._ended)
        found = await asyncio.shield(task)
        is_full = len(found) == limit or sum(len(s) for _, s in found) >= FOUND_BYTES_MAX
        return found, found[-1][0] if is_full else None

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Count one who follows a query, until the end of the block.

        Raises:
            RequestProblem: Too many do.
        """
        self.require_room()
        self._followed += 1
        try:
            yield
        finally:
            self._followed -= 1

    def require_room(self) -> None:
        """Refuse one who wants to follow a query where too many do.

        Raises:
            RequestProblem: So it is.
        """
        if self._followed >= self._followed_max:
            raise RequestProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._followed} queries are followed already",
                hint="http.stream_queries is the limit",
            )

    def _ended(self, task: asyncio.Task[list[tuple[TwinKey, bytes]]]) -> None:
        self._searches.discard(task)
        # Looked at here too, lest an error that nobody waits for any more count as overlooked.
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()
