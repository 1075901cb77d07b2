"""The routes of fleet changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.acting import Actor
from bridge.api.fleet_changes import (
    TARGETS_LIMIT_DEFAULT,
    TARGETS_LIMIT_MAX,
    WAIT_MAX_S,
    FleetControl,
    described,
    no_such_change,
    read_order,
    read_states,
    targets_page,
)
from bridge.api.problems import RequestProblem
from bridge.core.fleet_plan import TARGETS_MAX
from bridge.core.limits import INTEGER_MAX
from bridge.http import negotiation
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import answers, body
from bridge.http.writing import decode_patch
from bridge.store.fleet_changes import StoredFleetChange

_BODY: Final = body(
    (
        "application/json",
        {
            "where": "device GLOB 'lamp-*' AND online",
            "patch": {"firmware": {"version": "2.1"}},
            "stages": [5, 25, 100],
            "pace_per_s": 50,
            "converge_within_s": 60,
            "halt_at_percent": 10,
            "halt_minimum": 1,
            "dry_run": False,
        },
    )
)
_CHANGE: Final = {
    "id": "5f0c2a91",
    "status": "waiting",
    "why": "",
    "stage": 1,
    "stages": [
        {"percent": 5, "targets": 2, "states": {"converged": 1, "in_flight": 1}},
        {"percent": 100, "targets": 38, "states": {"pending": 38}},
    ],
    "targets": 40,
    "states": {"pending": 38, "in_flight": 1, "converged": 1},
    "where": "device GLOB 'lamp-*' AND online",
    "patch": {"firmware": {"version": "2.1"}},
    "pace_per_s": 50,
    "converge_within_s": 60,
    "halt_at_percent": 10,
    "halt_minimum": 1,
    "principal": "anna",
    "created_at": 1_790_000_000_000_000,
    "changed_at": 1_790_000_001_000_000,
    "revision": 3,
}
_DEVICES: Final = {
    "devices": [
        {"position": 0, "device": "lamp-7", "name": "", "state": "timed_out", "why": ""},
    ],
    "next": None,
}

Id = Annotated[
    str,
    Path(pattern="^[0-9a-f]{8}$", description="The fleet change.", examples=["5f0c2a91"]),
]
State = Annotated[
    str | None, Query(description="Only these states: `timed_out,refused`.", max_length=200)
]
From = Annotated[int, Query(alias="from", ge=0, le=TARGETS_MAX, description="A position.")]
Limit = Annotated[int, Query(ge=1, le=TARGETS_LIMIT_MAX)]
After = Annotated[
    int | None,
    Query(ge=0, le=INTEGER_MAX, description="Answer when there is a higher revision than this."),
]
Wait = Annotated[int, Query(ge=1, le=WAIT_MAX_S, description="But not later than that, in s.")]


class FleetRoutes:
    """What each route does.

    Args:
        backend: Holds the twins, and makes fleet changes go.
        authenticator: Tells who asks.
        body_bytes: Largest body.
    """

    def __init__(self, backend: Backend, authenticator: Authenticator, body_bytes: int) -> None:
        self._backend = backend
        self._authenticator = authenticator
        self._body_bytes = body_bytes

    @property
    def _control(self) -> FleetControl:
        control = self._backend.fleet
        if control is None:
            raise RequestProblem(HTTPStatus.SERVICE_UNAVAILABLE, "no bridge changes fleets here")
        return control

    def _may_see(self, principal: str, change: StoredFleetChange) -> bool:
        """Tell whether a change is its own: with permissions, others' are nobody's business."""
        if self._backend.permissions is None:
            return True
        return change.judged and change.principal == principal

    async def _find(self, request: Request, change_id: str) -> StoredFleetChange:
        principal = await self._authenticator.principal_of(request)
        found = await self._backend.run_store(lambda store: store.fleet_changes.find(change_id))
        if found is None or not self._may_see(principal, found):
            raise no_such_change(change_id)
        return found

    async def start(self, request: Request) -> Response:
        """Write one patch to `desired` of all twins that a query finds, stage by stage.

        `stages` are the percentages of the devices that are written at the end of each. The next
        stage begins when all devices of the one before are judged. The change halts when so many
        percent of a stage were refused, or did not report what is desired within the time. With
        `dry_run` it only tells what it would do.
        """
        principal = await self._authenticator.principal_of(request)
        given = await negotiation.read_body(request, self._body_bytes)
        wanted, _, _ = decode_patch(given, self._backend.limits)
        if "writer" in wanted:
            raise RequestProblem(HTTPStatus.BAD_REQUEST, "`writer` is whose the token is")
        change = await self._control.start(
            read_order(wanted, principal, judged=True), Actor("http", principal)
        )
        answer = negotiation.respond(request, described(change))
        if change.status != "planned":
            answer.status_code = HTTPStatus.CREATED
            answer.headers["location"] = f"/v1/fleet-changes/{change.id}"
        return answer

    async def list_all(self, request: Request) -> Response:
        """List the fleet changes, the newest first; with permissions, one's own."""
        principal = await self._authenticator.principal_of(request)
        found = await self._backend.run_store(lambda store: store.fleet_changes.list_all())
        shown = [described(change) for change in found if self._may_see(principal, change)]
        return negotiation.respond(request, {"fleet_changes": shown})

    async def show(
        self, request: Request, change: Id, after: After = None, wait_s: Wait = WAIT_MAX_S
    ) -> Response:
        """Show a fleet change and how far it is.

        With `after` the answer waits until something has happened since that revision.
        """
        found: StoredFleetChange | None = await self._find(request, change)
        if after is not None:
            found = await self._control.wait(change, after, wait_s)
        if found is None:
            raise no_such_change(change)
        return negotiation.respond(request, described(found))

    async def devices(
        self,
        request: Request,
        change: Id,
        state: State = None,
        start: From = 0,
        limit: Limit = TARGETS_LIMIT_DEFAULT,
    ) -> Response:
        """List the devices of a fleet change, in the order in which they are written."""
        states = read_states(state)
        await self._find(request, change)
        found = await self._backend.run_store(
            lambda store: store.fleet_changes.targets(change, start - 1, limit, states)
        )
        return negotiation.respond(request, targets_page(found, limit))

    async def _command(
        self,
        request: Request,
        change_id: str,
        command: Callable[[str, Actor], Awaitable[StoredFleetChange]],
    ) -> Response:
        await self._find(request, change_id)
        principal = await self._authenticator.principal_of(request)
        changed = await command(change_id, Actor("http", principal))
        return negotiation.respond(request, described(changed))

    async def pause(self, request: Request, change: Id) -> Response:
        """Stop writing; devices that are written are still judged."""
        return await self._command(request, change, self._control.pause)

    async def resume(self, request: Request, change: Id) -> Response:
        """Go on after a pause, or after a halt: what has failed so far is accepted."""
        return await self._command(request, change, self._control.resume)

    async def undo(self, request: Request, change: Id) -> Response:
        """Restore what was desired before, where nobody has written since."""
        return await self._command(request, change, self._control.undo)


def add_fleet_routes(app: FastAPI, routes: FleetRoutes) -> None:
    """Add the routes."""
    every, one = "/v1/fleet-changes", "/v1/fleet-changes/{change}"
    app.add_api_route(
        every, routes.start, methods=["POST"], tags=["fleet"], openapi_extra=_BODY,
        summary="Change a fleet", responses=_started(),
    )  # fmt: skip
    app.add_api_route(
        every, routes.list_all, methods=["GET"], tags=["fleet"], summary="List fleet changes",
        responses=answers(description="They.", example={"fleet_changes": [_CHANGE]}),
    )  # fmt: skip
    app.add_api_route(
        one, routes.show, methods=["GET"], tags=["fleet"], summary="Show a fleet change",
        responses=answers(404, description="It.", example=_CHANGE),
    )  # fmt: skip
    app.add_api_route(
        f"{one}/devices", routes.devices, methods=["GET"], tags=["fleet"],
        summary="List its devices",
        responses=answers(404, description="A page of devices.", example=_DEVICES),
    )  # fmt: skip
    for word, handler in (
        ("pause", routes.pause),
        ("resume", routes.resume),
        ("undo", routes.undo),
    ):
        app.add_api_route(
            f"{one}/{word}", handler, methods=["POST"], tags=["fleet"],
            summary=f"{word.capitalize()} a fleet change",
            responses=answers(404, 409, description="How it stands.", example=_CHANGE),
        )  # fmt: skip


def _started() -> dict[int | str, dict[str, Any]]:
    found = answers(409, 415, description="What would be done (`dry_run`).", example=_CHANGE)
    return {**found, 201: {**found[200], "description": "It has begun."}}
