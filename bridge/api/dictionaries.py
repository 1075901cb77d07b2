"""Dictionaries of zstd: training and listing them, for administration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import act, actor_of
from bridge.api.administration import Administration, run_beside
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, read_body
from bridge.store.base import Store
from bridge.store.dictionaries import StoredDictionary
from bridge.wire.dictionaries import (
    DICTIONARIES_KEPT,
    DICTIONARY_BYTES_MAX,
    DICTIONARY_BYTES_MIN,
    NoDictionary,
    train,
)
from bridge.wire.training import SAMPLE_TWINS_MAX, samples_of

SIZE_BYTES_DEFAULT: Final = 8 * 1024
"""Of a dictionary: what the keys of a fleet take, and what a small device can hold."""


def dictionary_routes(administration: Administration) -> list[Route]:
    """Return the routes."""
    routes = _Routes(administration)
    return [
        Route("/v1/dictionaries", routes.list_all, methods=["GET"]),
        Route("/v1/dictionaries", routes.train, methods=["POST"]),
    ]


class _Routes:
    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def list_all(self, _request: Request) -> Response:
        """List the dictionaries, the current one first."""
        rows = await self._administration.run_store(lambda store: store.dictionaries.list_all())
        return json_response({"dictionaries": [*map(_described, rows)]})

    async def train(self, request: Request) -> Response:
        """Train a dictionary from stored twins, and make it the current one."""
        size_bytes = (await read_body(request)).get("size_bytes", SIZE_BYTES_DEFAULT)
        if (
            not isinstance(size_bytes, int)
            or isinstance(size_bytes, bool)
            or not DICTIONARY_BYTES_MIN <= size_bytes <= DICTIONARY_BYTES_MAX
        ):
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST,
                f"`size_bytes` must be from {DICTIONARY_BYTES_MIN} to {DICTIONARY_BYTES_MAX}",
            )
        states = await run_beside(
            self._administration, lambda store: store.sample_states(SAMPLE_TWINS_MAX)
        )
        try:
            found = [(key.device, state) for key, state in states]
            samples = await asyncio.to_thread(samples_of, found)
            made = await asyncio.to_thread(train, samples, size_bytes)
        except NoDictionary as error:
            raise RequestProblem(
                HTTPStatus.CONFLICT,
                str(error),
                hint="train again when more devices have reported",
            ) from error
        row = StoredDictionary(made.id, time.time_ns() // 1000, len(samples), made.content)
        done = act(actor_of(request), "dictionary.train", str(row.id), samples=len(samples))

        def keep(store: Store) -> list[int]:
            store.record([done])
            return store.dictionaries.add(row, DICTIONARIES_KEPT)

        gone = await self._administration.run_store(keep)
        await self._administration.dictionaries_changed()
        return json_response({**_described(row), "forgotten": gone})


def _described(row: StoredDictionary) -> Mapping[str, object]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "samples": row.samples,
        "size_bytes": len(row.content),
    }
