"""The WebSocket: reading along, and writing, over one connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import orjson
from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.api.problems import RequestProblem, RequestRefused
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey, is_device_id, is_name
from bridge.core.update import SectionName
from bridge.errors import QueryError, SyncbridgeError
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.following import RIGHTS_CHANGED, Following, RightsChanged, TooSlow
from bridge.http.list_routes import read_pattern
from bridge.http.reading import Answer, Selection
from bridge.http.searching import Searcher, ask_to_follow
from bridge.http.strict_route import check_parameters
from bridge.http.writing import delete_twin, write_section
from bridge.wire import json_codec

BEARER_PROTOCOL: Final = "syncbridge.bearer."
"""What a subprotocol begins with that carries a token: browsers can send no other header."""

PROTOCOL: Final = "syncbridge.v1"

PARAMETERS: Final = ("after", "device", "select", "where")
"""What may stand in the address."""

CLOSE_S: Final = 20.0
"""How long a client that does not read may hold up the end of its connection."""

CODE_BAD_REQUEST: Final = 4400
CODE_UNAUTHORIZED: Final = 4401
CODE_RIGHTS_CHANGED: Final = 4403
CODE_FORBIDDEN: Final = 4406
CODE_TOO_SLOW: Final = 4408
CODE_TRY_AGAIN: Final = 1013

REASON_BYTES: Final = 123

_CODES: Final = {401: CODE_UNAUTHORIZED, 503: CODE_TRY_AGAIN}

_MEMBERS: Final = frozenset({"id", "device", "name", "section", "patch", "put", "delete", "if"})


class BadMessage(Exception):
    """A message of a client cannot be understood; says why."""


def add_stream_route(
    app: FastAPI, backend: Backend, authenticator: Authenticator, searcher: Searcher
) -> None:
    """Add the route."""

    async def stream(socket: WebSocket) -> None:
        await _Stream(socket, backend, authenticator, searcher).serve()

    app.add_api_websocket_route("/v1/stream", stream)


class _Stream:
    """One connection."""

    def __init__(
        self,
        socket: WebSocket,
        backend: Backend,
        authenticator: Authenticator,
        searcher: Searcher,
    ) -> None:
        self._socket = socket
        self._searcher = searcher
        self._backend = backend
        self._authenticator = authenticator
        self._sending = asyncio.Lock()
        offered = socket.scope.get("subprotocols", [])
        self._authorization = socket.headers.get("authorization")
        for protocol in offered:
            if protocol.startswith(BEARER_PROTOCOL):
                self._authorization = f"Bearer {protocol.removeprefix(BEARER_PROTOCOL)}"
        self._subprotocol = PROTOCOL if PROTOCOL in offered else None

    async def serve(self) -> None:
        """Serve it to its end."""
        await self._socket.accept(subprotocol=self._subprotocol)
        try:
            code, reason = await self._serve()
        except WebSocketDisconnect:
            return
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(code, reason)

    async def _serve(self) -> tuple[int, str]:
        try:
            principal = await self._authenticator.principal(self._authorization)
            following = await self._following(principal)
        except (RequestProblem, RequestRefused, QueryError) as error:
            return _closing(error)
        tasks = {
            asyncio.create_task(self._send_changes(following), name="stream sender"),
            asyncio.create_task(self._receive_writes(), name="stream receiver"),
            asyncio.create_task(_wait_for_overflow(following), name="stream watch"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return _why(done)

    async def _following(self, principal: str) -> Following:
        query = self._socket.query_params
        check_parameters(query.keys(), PARAMETERS)
        select = query.get("select")
        pattern = read_pattern(query.get("device", "*"))
        asked = await ask_to_follow(
            self._backend, self._searcher, principal, query.get("where"), pattern
        )
        return Following(
            self._backend,
            self._authenticator,
            self._authorization,
            pattern,
            Selection(select, self._backend.limits) if select is not None else None,
            query.get("after"),
            asked,
        )

    async def _send(self, text: str) -> None:
        async with self._sending:
            await self._socket.send_text(text)

    async def _send_changes(self, following: Following) -> None:
        messages = following.messages()
        try:
            async for text, _ in messages:
                await self._send(text)
        finally:
            await messages.aclose()  # type: ignore[attr-defined]

    async def _receive_writes(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            given = message.get("text")
            payload = given.encode() if given is not None else message.get("bytes") or b""
            await self._send(orjson.dumps(await self._answer(payload)).decode())

    async def _answer(self, payload: bytes) -> Answer:
        request_id: object = None
        try:
            principal = await self._authenticator.principal(self._authorization)
            request = _read(payload)
            request_id = request.get("id")
            answer = await self._write(principal, request)
        except BadMessage as error:
            return _failure(request_id, 400, "bad_request", str(error))
        except RequestRefused as refused:
            return _failure(request_id, *refused.refusal)
        except RequestProblem as problem:
            return _failure(request_id, problem.status, "bad_request", problem.detail)
        except SyncbridgeError as error:
            return _failure(request_id, 503, "unavailable", error.message)
        return {"type": "reply", "id": request_id, "ok": True, **answer}

    async def _write(self, principal: str, request: JsonObject) -> Answer:
        key = _key(request)
        if request.get("delete") is True:
            return await delete_twin(self._backend, principal, key)
        section = _section(request)
        if_version = request.get("if")
        if if_version is not None and (type(if_version) is not int or if_version < 0):
            raise BadMessage("`if` must be a version")
        full = "put" in request
        patch = request.get("put" if full else "patch")
        if not isinstance(patch, dict):
            raise BadMessage("`patch` or `put` must be an object, or `delete` true")
        return await write_section(
            self._backend,
            principal,
            key,
            section,
            json_codec.encode(patch),
            full=full,
            if_match=if_version,
        )


def _read(payload: bytes) -> JsonObject:
    try:
        request = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"the message is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise BadMessage("the message is not a JSON object")
    unknown = request.keys() - _MEMBERS
    if unknown:
        raise BadMessage(
            f"{min(unknown)[:40]!r} is not known; known: {', '.join(sorted(_MEMBERS))}"
        )
    return request


def _key(request: JsonObject) -> TwinKey:
    device, name = request.get("device"), request.get("name", "")
    if (
        not isinstance(device, str)
        or not isinstance(name, str)
        or not is_device_id(device)
        or (name and not is_name(name))
    ):
        raise BadMessage("`device`, and `name` where there is one, must name a twin")
    return TwinKey(device, name)


def _section(request: JsonObject) -> SectionName:
    section = request.get("section", "desired")
    if section == "reported":
        return "reported"
    if section == "desired":
        return "desired"
    raise BadMessage("`section` must be reported or desired")


def _failure(request_id: object, code: int, error: str, message: str) -> Answer:
    return {
        "type": "reply",
        "id": request_id,
        "ok": False,
        "code": code,
        "error": error,
        "message": message,
    }


def _closing(error: RequestProblem | RequestRefused | QueryError) -> tuple[int, str]:
    """Return code and reason of a close; a reason has 123 bytes at most (RFC 6455, 5.5)."""
    if isinstance(error, QueryError):
        return CODE_BAD_REQUEST, _shortened(error.message)
    if isinstance(error, RequestRefused):
        return CODE_FORBIDDEN, _shortened(error.refusal.message)
    return _CODES.get(error.status, CODE_BAD_REQUEST), _shortened(error.detail)


def _shortened(reason: str) -> str:
    return reason.encode()[:REASON_BYTES].decode(errors="ignore")


async def _wait_for_overflow(following: Following) -> None:
    # The sender may hang in a send that never ends: the client does not read.
    while following.reader is None:  # noqa: ASYNC110 - it is set within a turn of the loop or two
        await asyncio.sleep(0.01)
    await following.reader.overflowed.wait()
    raise TooSlow


def _why(done: set[asyncio.Task[None]]) -> tuple[int, str]:
    """Return code and reason of a close, from what ended first."""
    for task in done:
        error = task.exception()
        if isinstance(error, TooSlow):
            return CODE_TOO_SLOW, "too slow: more changes waited than http.stream_events"
        if isinstance(error, RightsChanged):
            return CODE_RIGHTS_CHANGED, RIGHTS_CHANGED
        if isinstance(error, RequestProblem | QueryError):
            return _closing(error)
        if error is not None:
            raise error
    return 1001, "the bridge is stopping"
