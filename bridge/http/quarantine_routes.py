"""The routes about what was refused without an answer, for whoever may read what it was about."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from bridge.api import quarantine as rows
from bridge.core.limits import INTEGER_MAX
from bridge.core.topics import InboundTopic
from bridge.http import negotiation
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import answers
from bridge.http.reading import access_of
from bridge.store.base import Store
from bridge.store.quarantined import QuarantinedMessage, QuarantineFilter

LOOKED_AT: Final = 1000
"""Messages that are looked at for one answer. A page can be short, or empty, although there are
more: `next` tells."""

_EXAMPLE: Final = {
    "id": 7,
    "at": 1_790_000_000_000_000,
    "device": "lamp-1",
    "writer": "anna",
    "topic": "sync/lamp-1/desire/anna",
    "code": 400,
    "error": "bad_json",
    "message": "the payload is not JSON",
    "size_bytes": 12,
    "payload": '{"on": true,',
}

Limit = Annotated[int, Query(ge=1, le=rows.LIMIT_MAX)]
Before = Annotated[
    int | None, Query(ge=1, le=INTEGER_MAX, description="`next` of the page before.")
]
DeviceId = Annotated[
    str | None,
    Query(description="Of this device.", max_length=128, examples=["lamp-1"]),
]
Reason = Annotated[
    str | None,
    Query(
        description="Refused for this reason, as `error` says it.",
        max_length=rows.REASON_CHARACTERS,
        examples=["bad_json"],
    ),
]
Time = Annotated[
    str | None,
    Query(max_length=64, description="RFC 3339, or µs since the epoch."),
]
MessageId = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="`id` in the list.")]


class _Page:
    """Finds the messages of one page, in the store's thread."""

    def __init__(
        self, routes: _Routes, principal: str, wanted: QuarantineFilter, before: int | None
    ) -> None:
        self._routes = routes
        self._principal = principal
        self._wanted = wanted
        self._before = before

    def read(self, store: Store, limit: int) -> tuple[list[QuarantinedMessage], int | None]:
        """Return the messages, and the id before which the next page begins; None at the end."""
        visible: list[QuarantinedMessage] = []
        before = self._before
        for _ in range(0, LOOKED_AT, rows.LIMIT_MAX):
            found = store.quarantine(rows.LIMIT_MAX, before, self._wanted, rows.SHOWN_BYTES)
            for message in found:
                before = message.id
                if self._routes.may_see(self._principal, message):
                    visible.append(message)
                    if len(visible) == limit:
                        return visible, before
            if len(found) < rows.LIMIT_MAX:
                return visible, None
        return visible, before


class _Routes:
    def __init__(self, backend: Backend, authenticator: Authenticator) -> None:
        self._backend = backend
        self._authenticator = authenticator

    async def list_page(
        self,
        request: Request,
        device: DeviceId = None,
        reason: Reason = None,
        since: Time = None,
        until: Time = None,
        limit: Limit = rows.LIMIT_DEFAULT,
        before: Before = None,
    ) -> Response:
        """List messages that were refused without an answer, the newest first.

        With permissions: those about twins that the asker may read all of, and of each the
        beginning of its payload. A page can be short although there are more; `next` is null at the
        end.
        """
        principal = await self._authenticator.principal_of(request)
        given = {"device": device, "reason": reason, "since": since, "until": until}
        wanted = rows.read_filter({name: text for name, text in given.items() if text is not None})
        page = _Page(self, principal, wanted, before)
        found, following = await self._backend.run_store(lambda store: page.read(store, limit))
        answer = {"quarantine": [*map(rows.described, found)], "next": following}
        return negotiation.respond(request, answer)

    async def show(self, request: Request, id: MessageId) -> Response:  # noqa: A002 - as in the list
        """Read one such message, with all that is kept of its payload."""
        principal = await self._authenticator.principal_of(request)
        found = await self._backend.run_store(lambda store: store.quarantined(id))
        if found is None or not self.may_see(principal, found):
            # The same answer, so that nobody learns how many there are that are not for them.
            raise rows.missing(id)
        return negotiation.respond(request, rows.described(found))

    def may_see(self, principal: str, message: QuarantinedMessage) -> bool:
        """Tell whether a message is for a principal: it may read all of the twin.

        What is on no topic of ours is about no twin, and for administration alone.
        """
        if self._backend.permissions is None:
            return True
        topic = self._backend.grammar.parse(message.topic)
        if not isinstance(topic, InboundTopic):
            return False
        access = access_of(self._backend, principal, topic.key)
        return access is None or access.reads_all


def add_quarantine_routes(app: FastAPI, backend: Backend, authenticator: Authenticator) -> None:
    """Add the routes."""
    routes = _Routes(backend, authenticator)
    app.add_api_route(
        "/v1/quarantine", routes.list_page, methods=["GET"], tags=["past"],
        summary="List refused messages",
        responses=answers(
            description="A page of refused messages.",
            example={"quarantine": [_EXAMPLE], "next": None},
        ),
    )  # fmt: skip
    app.add_api_route(
        "/v1/quarantine/{id}", routes.show, methods=["GET"], tags=["past"],
        summary="Read a refused message",
        responses=answers(404, description="The message.", example=_EXAMPLE),
    )  # fmt: skip
