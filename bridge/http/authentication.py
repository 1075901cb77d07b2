"""Who sends a request: by its bearer token (RFC 6750) alone. There are no cookies."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.requests import Request

from bridge.api.problems import RequestProblem
from bridge.api.tokens import token_hash, token_id_of
from bridge.http.backend import Backend

ANONYMOUS: Final = "http"
"""Who writes without a token, where no permissions are configured."""

CHECKED_AGAIN_S: Final = 1.0
"""How long a token that was found is taken without looking: it is revoked within that."""

TOKENS_REMEMBERED: Final = 4096
"""Tokens of which it is remembered whose they are."""

TOKEN_CHARACTERS: Final = 256
"""Longest text that is looked at as a token."""


class _Known(NamedTuple):
    principal: str
    expires_at: int | None
    checked_at_s: float


class Authenticator:
    """Tells whose a token is.

    Args:
        backend: Holds the tokens.
        clock: Monotonic time in seconds.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def principal(self, authorization: str | None) -> str:
        """Return whose request this is.

        Args:
            authorization: The header of that name, or None.

        Raises:
            RequestProblem: There is no token, and one is needed; or it is none of ours.
        """
        if authorization is None:
            if self._backend.permissions is None:
                return ANONYMOUS
            raise _unauthorized("a bearer token is needed: `syncbridge tokens create` makes one")
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_CHARACTERS:
            raise _unauthorized("Authorization must be: Bearer TOKEN")
        known = self._known.get(token)
        if known is None or self._clock() - known.checked_at_s > CHECKED_AGAIN_S:
            known = await self._look_up(token)
        if known.expires_at is not None and known.expires_at <= self._backend.now_us():
            raise _unauthorized("the token has expired")
        return known.principal

    async def principal_of(self, request: Request) -> str:
        """Return whose request this is; see `principal`."""
        return await self.principal(request.headers.get("authorization"))

    async def _look_up(self, token: str) -> _Known:
        self._known.pop(token, None)
        token_id = token_id_of(token)
        if token_id is None:
            raise _unauthorized("the token is not known, or was revoked")
        row = await self._backend.run_store(lambda store: store.find_token(token_id))
        if row is None or not hmac.compare_digest(row.hash, token_hash(token)):
            raise _unauthorized("the token is not known, or was revoked")
        known = self._known[token] = _Known(row.principal, row.expires_at, self._clock())
        if len(self._known) > TOKENS_REMEMBERED:
            self._known.popitem(last=False)
        return known


def _unauthorized(detail: str) -> RequestProblem:
    return RequestProblem(HTTPStatus.UNAUTHORIZED, detail)
