"""Tokens of the HTTP API: making, listing and revoking them, for administration.

A token is 256 random bits. So its SHA-256 can be kept without salt or stretching: those protect
passwords that people choose and others guess, and nobody guesses this one. What the store holds is
of no use to who steals it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import act, actor_of
from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, read_body
from bridge.core.limits import TIME_MAX
from bridge.core.topics import is_name
from bridge.store.tokens import TOKENS_KEPT, StoredToken

TOKEN_PREFIX = "sbt_"  # noqa: S105 - what a token begins with, for who finds one somewhere
_ID_BYTES = 6
_SECRET_BYTES = 32


def make_token() -> tuple[str, str]:
    """Return a new id and a new token, which holds the id."""
    token_id = secrets.token_hex(_ID_BYTES)
    return token_id, f"{TOKEN_PREFIX}{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def token_id_of(token: str) -> str | None:
    """Return the id in a token, None where it cannot be one."""
    head, _, rest = token.partition("_")
    token_id, _, secret = rest.partition("_")
    is_one = head + "_" == TOKEN_PREFIX and len(token_id) == 2 * _ID_BYTES and secret
    return token_id if is_one else None


def token_routes(administration: Administration) -> list[Route]:
    """Return the routes."""
    routes = _Routes(administration)
    return [
        Route("/v1/tokens", routes.create, methods=["POST"]),
        Route("/v1/tokens", routes.list_all, methods=["GET"]),
        Route("/v1/tokens/{id}", routes.revoke, methods=["DELETE"]),
    ]


class _Routes:
    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def create(self, request: Request) -> Response:
        """Make a token; its text is in this answer and nowhere else."""
        body = await read_body(request)
        principal, expires_at = body.get("principal"), body.get("expires_at")
        if not isinstance(principal, str) or not is_name(principal):
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST, "`principal` must be a name as the permissions have it"
            )
        now = time.time_ns() // 1000
        if expires_at is not None and (
            not isinstance(expires_at, int)
            or isinstance(expires_at, bool)
            or not now < expires_at <= TIME_MAX
        ):
            raise RequestProblem(HTTPStatus.BAD_REQUEST, "`expires_at` must be a time to come")
        token_id, token = make_token()
        row = StoredToken(token_id, principal, token_hash(token), now, expires_at)
        done = act(
            actor_of(request), "token.create", token_id, principal=principal, expires_at=expires_at
        )
        if not await self._administration.run_store(lambda store: store.add_token(row, done)):
            raise RequestProblem(
                HTTPStatus.CONFLICT,
                f"{TOKENS_KEPT} tokens are kept already",
                hint="revoke those that have expired",
            )
        return json_response({**_described(row), "token": token})

    async def list_all(self, _request: Request) -> Response:
        """List the tokens, without their texts."""
        rows = await self._administration.run_store(lambda store: store.list_tokens())
        return json_response({"tokens": [*map(_described, rows)]})

    async def revoke(self, request: Request) -> Response:
        """Revoke a token."""
        token_id = request.path_params["id"]
        done = act(actor_of(request), "token.revoke", token_id)
        if not await self._administration.run_store(lambda s: s.revoke_token(token_id, done)):
            raise RequestProblem(HTTPStatus.NOT_FOUND, f"there is no token {token_id}")
        return json_response({"id": token_id})


def _described(row: StoredToken) -> Mapping[str, object]:
    return {
        "id": row.id,
        "principal": row.principal,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    }
