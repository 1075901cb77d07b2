"""Claims for enrolment: making, listing and withdrawing them, for administration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import Actor, act, actor_of
from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, read_body
from bridge.core.topics import is_device_id
from bridge.security.frame import ALGORITHM_NAMES, Algorithm
from bridge.security.mechanism import Kem
from bridge.store.base import Store
from bridge.store.claims import CLAIMS_KEPT, StoredClaim

EXPIRES_S_MAX: Final = 30 * 86_400
"""A claim that lies about for longer than a month is found by somebody."""

_MICROSECONDS: Final = 1_000_000
_BY_NAME: Final = {name: algorithm for algorithm, name in ALGORITHM_NAMES.items()}


def claim_routes(administration: Administration) -> list[Route]:
    """Return the routes."""
    routes = _Routes(administration)
    return [
        Route("/v1/claims", routes.create, methods=["POST"]),
        Route("/v1/claims", routes.list_all, methods=["GET"]),
        Route("/v1/claims/{id}", routes.withdraw, methods=["DELETE"]),
    ]


class _Routes:
    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def create(self, request: Request) -> Response:
        """Make a claim; its text is in this answer and nowhere else."""
        body = await read_body(request)
        device, expires_s = body.get("device"), body.get("expires_s")
        if not isinstance(device, str) or not is_device_id(device):
            raise _bad("`device` must be a device id")
        if not isinstance(expires_s, int) or not 1 <= expires_s <= EXPIRES_S_MAX:
            raise _bad(f"`expires_s` must be an integer from 1 to {EXPIRES_S_MAX}")
        algorithm = body.get("algorithm", ALGORITHM_NAMES[Algorithm.AES_256_GCM])
        if not isinstance(algorithm, str) or algorithm not in _BY_NAME:
            raise _bad(f"`algorithm` must be one of {', '.join(_BY_NAME)}")
        wanted = _Wanted(
            device,
            Kem.MLKEM768_X25519 if body.get("hybrid") is True else Kem.X25519,
            _BY_NAME[algorithm],
            now := time.time_ns() // 1000,
            now + expires_s * _MICROSECONDS,
        )
        row, text = await self._administration.run_store(
            lambda store: _make(store, wanted, actor_of(request))
        )
        return json_response({**_described(row, now), "claim": text})

    async def list_all(self, _request: Request) -> Response:
        """List the claims, without their texts."""
        now = time.time_ns() // 1000
        rows = await self._administration.run_store(lambda store: store.claims.list_all())
        return json_response({"claims": [_described(row, now) for row in rows]})

    async def withdraw(self, request: Request) -> Response:
        """Withdraw a claim that nobody has taken."""
        claim_id = request.path_params["id"]
        done = act(actor_of(request), "claim.withdraw", claim_id)
        now = time.time_ns() // 1000
        if not await self._administration.run_store(
            lambda store: store.claims.withdraw(claim_id, now, done)
        ):
            raise RequestProblem(
                HTTPStatus.NOT_FOUND,
                f"there is no claim {claim_id} that could be withdrawn",
                hint="what was taken stays taken: revoke the device's key",
            )
        return json_response({"id": claim_id})


class _Wanted(NamedTuple):
    device: str
    kem: Kem
    algorithm: Algorithm
    created_at: int
    expires_at: int


def _make(store: Store, wanted: _Wanted, actor: Actor) -> tuple[StoredClaim, str]:
    """Keep a new claim; returns what is kept, and the claim's text."""
    # Only here: most commands have nothing to do with OpenSSL.
    from bridge.security.claim import Claim

    identity = store.claims.identity()
    if identity is None:
        raise RequestProblem(
            HTTPStatus.CONFLICT,
            "the bridge of this store has no identity yet that a device could know it by",
            hint="set sealing.wrapping_key_file, and start the bridge",
        )
    claim = Claim.make(wanted.kem, identity.public_key)
    device, kem, algorithm, created_at, expires_at = wanted
    row = StoredClaim(
        claim.claim_id.hex(), device, kem, algorithm, claim.public_key, created_at, expires_at
    )
    done = act(actor, "claim.create", row.id, device=device, expires_at=expires_at, kem=kem.shown)
    if not store.claims.add(row, done):
        raise RequestProblem(
            HTTPStatus.CONFLICT,
            f"{CLAIMS_KEPT} claims are kept already",
            hint="those that have ended go after a month",
        )
    return row, claim.text


def _bad(why: str) -> RequestProblem:
    return RequestProblem(HTTPStatus.BAD_REQUEST, why)


def _described(row: StoredClaim, now: int) -> Mapping[str, object]:
    if row.taken_at is not None:
        state = "used"
    elif row.withdrawn_at is not None:
        state = "withdrawn"
    else:
        state = "open" if row.expires_at > now else "expired"
    return {
        "id": row.id,
        "device": row.device,
        "state": state,
        "kem": Kem(row.kem).shown,
        "algorithm": ALGORITHM_NAMES[Algorithm(row.algorithm)],
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "taken_at": row.taken_at,
        "key_id": row.key_id,
        "refused": row.refused,
        "refused_at": row.refused_at,
        "refusal": row.refusal,
    }
