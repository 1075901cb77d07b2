"""The route that lists twins, page by page."""

from __future__ import annotations

import base64
import os
from http import HTTPStatus
from typing import Annotated, Final, Literal

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.problems import RequestProblem
from bridge.core.pattern import DevicePattern, PatternError, is_literal, parse_device_pattern
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.http import negotiation
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import Select, Where, answers
from bridge.http.reading import Selection, access_of, shown_object
from bridge.http.searching import Searcher, ask
from bridge.http.shelf import document_of
from bridge.store.base import Store

PAGE_TWINS_MAX: Final = 500
"""Most twins in one answer."""

PAGE_TWINS_DEFAULT: Final = 100

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A page ends early where its twins are large."""

KEYS_LOOKED_AT: Final = 10_000
"""Keys that are held against the pattern for one answer: some 10 ms of the store's thread. A page
can be short, or empty, although there are more: the cursor tells."""

NONCE_BYTES: Final = 12
"""Of AES-GCM."""

Device = Annotated[
    str, Query(description="Device pattern: `lamp-*`, `lamp-1/setup`.", max_length=300)
]
Sort = Annotated[Literal["device", "-device"], Query(description="`-device` is backwards.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_TWINS_MAX)]
Cursor = Annotated[str | None, Query(description="`next` of the page before.", max_length=600)]

_PAGE: Final = {
    "twins": [{"device": "john", "name": "", "version": 2, "at": 0, "reported": {"age": 31}}],
    "next": None,
}


class Page:
    """Finds the twins of one page, in the store's thread.

    Args:
        pattern: Which twins.
        after: The last key of the page before.
        limit: At most so many.
        descending: Backwards.
    """

    def __init__(
        self, pattern: DevicePattern, after: TwinKey | None, limit: int, *, descending: bool
    ) -> None:
        self._pattern = pattern
        self._after = after
        self._limit = limit
        self._descending = descending

    def read(self, store: Store) -> tuple[list[tuple[TwinKey, bytes]], TwinKey | None]:
        """Return keys and states, and the key behind which there may be more; None at the end."""
        after, is_end = self._after, False
        if after is None and is_literal(self._pattern.device) and not self._descending:
            # What lies before that device is not looked at; `-` is the lowest sign of an id, and
            # nothing lies between a text and the same text with a zero behind.
            after = _just_before(self._pattern.device[0])
        keys = store.list_keys(after, KEYS_LOOKED_AT, descending=self._descending)
        is_end = len(keys) < KEYS_LOOKED_AT
        found = [key for key in keys if self._pattern.matches(key)]
        last = keys[-1] if keys else None
        if len(found) > self._limit:
            found = found[: self._limit]
            last, is_end = found[-1], False
        loaded = store.load(found) if found else {}
        twins: list[tuple[TwinKey, bytes]] = []
        size_bytes = 0
        for key in found:
            stored = loaded.get(key)
            if stored is None or not stored.exists:
                continue
            size_bytes += len(stored.state)
            if twins and size_bytes > PAGE_BYTES_MAX:
                return twins, twins[-1][0]
            twins.append((key, stored.state))
        return twins, None if is_end else last


def _just_before(device: str) -> TwinKey:
    return TwinKey(device[:-1] + chr(ord(device[-1]) - 1) + "\U0010ffff", "")


def add_list_route(
    app: FastAPI, backend: Backend, authenticator: Authenticator, searcher: Searcher
) -> None:
    """Add the route."""
    cursors = _Cursors()

    async def list_twins(
        request: Request,
        device: Device = "*",
        where: Where = None,
        select: Select = None,
        sort: Sort = "device",
        limit: Limit = PAGE_TWINS_DEFAULT,
        cursor: Cursor = None,
    ) -> Response:
        """List twins in the order of their devices and names; with `where`, those that match.

        A page can be short although there are more twins; `next` is null at the end.
        """
        principal = await authenticator.principal_of(request)
        pattern = read_pattern(device)
        selection = Selection(select, backend.limits) if select is not None else None
        after = None if cursor is None else cursors.read(cursor)
        descending = sort == "-device"
        if where is None:
            page = Page(pattern, after, limit, descending=descending)
            rows, following = await backend.run_store(page.read)
        else:
            question = await ask(backend, principal, where, pattern)
            rows, following = await searcher.find(question, after, limit, descending=descending)
        twins: list[object] = []
        for key, state in rows:
            access = access_of(backend, principal, key)
            if access is not None and not access.reads_some:
                continue
            document = document_of(key, state)
            if selection is None and (access is None or access.reads_all):
                twins.append(orjson.Fragment(document))
            else:
                value: JsonObject = orjson.loads(document)
                twins.append(shown_object(value, access, selection))
        answer = {"twins": twins, "next": None if following is None else cursors.of(following)}
        return negotiation.respond(request, answer)

    app.add_api_route(
        "/v1/twins", list_twins, methods=["GET"], tags=["twins"], summary="List twins",
        responses=answers(description="A page of twins.", example=_PAGE),
    )  # fmt: skip


def read_pattern(text: str) -> DevicePattern:
    """Return a device pattern.

    Raises:
        RequestProblem: It is none.
    """
    try:
        return parse_device_pattern(text)
    except PatternError as error:
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"`device`: {error}") from error


class _Cursors:
    """Makes and reads `next`: encrypted, because the twin that a page ended at may be hidden."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(128))

    def of(self, key: TwinKey) -> str:
        """Return what stands for a key, until the bridge ends."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, "/".join(key).encode(), None)
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def read(self, text: str) -> TwinKey:
        """Return the key that a cursor stands for.

        Raises:
            RequestProblem: It was not made here.
        """
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except (ValueError, InvalidTag):
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST,
                "`cursor` must be `next` of the page before",
                hint="begin with the first page where the bridge was restarted since",
            ) from None
        device, _, name = plain.decode().partition("/")
        return TwinKey(device, name)
