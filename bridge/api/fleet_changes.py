"""Fleet changes for administration and HTTP: what is asked for and answered, and the routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem, RequestRefused
from bridge.api.requests import json_response, number, read_body, read_writer
from bridge.core.fleet_plan import FleetPlan, PlanError, make_plan
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.store.fleet_changes import StoredFleetChange, StoredTarget

WAIT_MAX_S: Final = 30
"""Longest time that an answer waits for something to happen."""

TARGETS_LIMIT_DEFAULT: Final = 100
TARGETS_LIMIT_MAX: Final = 1000
"""Devices in one answer."""

STATES: Final = (
    "pending",
    "in_flight",
    "converged",
    "timed_out",
    "refused",
    "overwritten",
    "skipped",
    "undone",
    "kept",
)

_DEFAULTS: Final = FleetPlan()
_PLAN_MEMBERS: Final = frozenset(FleetPlan._fields)
_MEMBERS: Final = _PLAN_MEMBERS | {"where", "patch", "dry_run", "writer"}


class FleetOrder(NamedTuple):
    """A fleet change that somebody asks for.

    Attributes:
        principal: Who asks, and whose the writes are.
        judged: Held against the permissions.
        where: Which twins; see `bridge.query`.
        patch: The merge patch for `desired`.
        plan: How it is to go.
        dry_run: Only tell what would be done.
    """

    principal: str
    judged: bool
    where: str
    patch: JsonObject
    plan: FleetPlan
    dry_run: bool


class FleetControl(Protocol):
    """Makes fleet changes go, in a running bridge.

    `pause`, `resume` and `undo` raise `RequestProblem` where there is no such change, and
    `RequestRefused` where it stands so that it cannot be done; all raise `StoreError` where nothing
    took effect.
    """

    async def start(self, order: FleetOrder) -> StoredFleetChange:
        """Find the devices, keep the change, and begin.

        Raises:
            RequestRefused: It finds no device, or too many; too many changes are at work; the patch
                is not allowed, or may not be written to one of the devices.
            QueryError: The query cannot be understood, or takes too long.
        """

    async def pause(self, change_id: str) -> StoredFleetChange:
        """Stop writing."""

    async def resume(self, change_id: str) -> StoredFleetChange:
        """Go on after a pause or a halt."""

    async def undo(self, change_id: str) -> StoredFleetChange:
        """Restore what was there before, where nobody has written since."""

    async def wait(
        self, change_id: str, revision: int, timeout_s: float
    ) -> StoredFleetChange | None:
        """Return a change when it is newer than a revision, or after a time; None if none is."""


def read_order(body: Mapping[str, object], principal: str, *, judged: bool) -> FleetOrder:
    """Return what a request asks for.

    Raises:
        RequestProblem: A member is missing, unknown or of another type.
        RequestRefused: The plan is not allowed.
    """
    unknown = body.keys() - _MEMBERS
    if unknown:
        raise _bad(f"`{min(unknown)[:40]}` is not known; known: {', '.join(sorted(_MEMBERS))}")
    where, patch, dry_run = body.get("where"), body.get("patch"), body.get("dry_run", False)
    if not isinstance(where, str):
        raise _bad("`where` must be a query, such as `device GLOB 'lamp-*'`")
    if not isinstance(patch, dict) or not patch:
        raise _bad("`patch` must be an object with something in it: what is desired")
    if not isinstance(dry_run, bool):
        raise _bad("`dry_run` must be true or false")
    return FleetOrder(principal, judged, where, patch, _plan(body), dry_run)


def _plan(body: Mapping[str, object]) -> FleetPlan:
    stages = body.get("stages", list(_DEFAULTS.stages))
    if not isinstance(stages, list) or not all(map(_is_number, stages)):
        raise _bad("`stages` must be an array of percentages")
    minimum = body.get("halt_minimum", _DEFAULTS.halt_minimum)
    if not isinstance(minimum, int) or isinstance(minimum, bool):
        raise _bad("`halt_minimum` must be an integer")
    pace, within, percent = (
        _number(body, name) for name in ("pace_per_s", "converge_within_s", "halt_at_percent")
    )
    try:
        return make_plan(stages, pace, within, percent, minimum)
    except PlanError as error:
        raise refused(400, "bad_plan", str(error)) from error


def _number(body: Mapping[str, object], name: str) -> float:
    value = body.get(name, getattr(_DEFAULTS, name))
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _bad(f"`{name}` must be a number")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bad(detail: str) -> RequestProblem:
    return RequestProblem(HTTPStatus.BAD_REQUEST, detail)


def refused(code: int, error: str, message: str) -> RequestRefused:
    """Return the refusal of something that only fleet changes have."""
    return RequestRefused(Refusal(code, error, message))


def read_states(text: str | None) -> Sequence[str]:
    """Return the states that a parameter names, with commas between.

    Raises:
        RequestProblem: One of them is none.
    """
    states = [] if text is None else [part.strip() for part in text.split(",")]
    wrong = [state for state in states if state not in STATES]
    if wrong:
        raise _bad(f"`state`: {wrong[0][:40]!r} is none; there are: {', '.join(STATES)}")
    return states[: len(STATES)]


def no_such_change(change_id: str) -> RequestProblem:
    """Return the problem that there is no such fleet change."""
    return RequestProblem(HTTPStatus.NOT_FOUND, f"there is no fleet change {change_id[:40]}")


def described(change: StoredFleetChange) -> dict[str, object]:
    """Describe a change as the JSON of answers."""
    plan = orjson.loads(change.plan)
    bounds = FleetPlan(**{**plan, "stages": tuple(plan["stages"])}).bounds(change.targets)
    counts: list[Mapping[str, int]] = orjson.loads(change.progress)
    sizes = [end - begin for begin, end in zip((0, *bounds), bounds, strict=False)]
    total = {s: n for s in STATES if (n := sum(stage.get(s, 0) for stage in counts))}
    return {
        "id": change.id,
        "status": change.status,
        "why": change.why,
        "stage": change.stage + 1,
        "stages": [
            {"percent": percent, "targets": size, "states": states}
            for percent, size, states in zip(plan["stages"], sizes, counts, strict=True)
        ],
        "targets": change.targets,
        "states": total,
        "where": change.query,
        "patch": orjson.Fragment(change.patch),
        "pace_per_s": plan["pace_per_s"],
        "converge_within_s": plan["converge_within_s"],
        "halt_at_percent": plan["halt_at_percent"],
        "halt_minimum": plan["halt_minimum"],
        "principal": change.principal,
        "created_at": change.created_at,
        "changed_at": change.changed_at,
        "revision": change.revision,
    }


def described_target(target: StoredTarget) -> dict[str, object]:
    """Describe a device of a change as the JSON of answers."""
    return {
        "position": target.position,
        "device": target.key.device,
        "name": target.key.name,
        "state": target.state,
        "why": target.why,
    }


def fleet_routes(administration: Administration) -> list[Route]:
    """Return the routes of administration."""
    routes = _Routes(administration)
    one = "/v1/fleet-changes/{id}"
    return [
        Route("/v1/fleet-changes", routes.start, methods=["POST"]),
        Route("/v1/fleet-changes", routes.list_all, methods=["GET"]),
        Route(one, routes.show, methods=["GET"]),
        Route(f"{one}/devices", routes.devices, methods=["GET"]),
        Route(f"{one}/pause", routes.pause, methods=["POST"]),
        Route(f"{one}/resume", routes.resume, methods=["POST"]),
        Route(f"{one}/undo", routes.undo, methods=["POST"]),
    ]


class _Routes:
    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    @property
    def _control(self) -> FleetControl:
        control = self._administration.fleet
        if control is None:
            raise RequestProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "no bridge runs on this store that could change a fleet",
                hint="start it: syncbridge run",
            )
        return control

    async def start(self, request: Request) -> Response:
        """Begin a change; nobody is asked for permission here."""
        body = await read_body(request)
        writer = read_writer(body.get("writer"))
        change = await self._control.start(read_order(body, writer, judged=False))
        return json_response(described(change))

    async def list_all(self, _request: Request) -> Response:
        """List the changes, the newest first."""
        found = await self._administration.run_store(lambda store: store.fleet_changes.list_all())
        return json_response({"fleet_changes": [*map(described, found)]})

    async def show(self, request: Request) -> Response:
        """Show a change, perhaps when it is newer than a revision."""
        change_id = request.path_params["id"]
        found: StoredFleetChange | None
        if "after" in request.query_params and self._administration.fleet is not None:
            revision = number(request, "after", 1, 2**53)
            found = await self._control.wait(
                change_id, revision, number(request, "wait_s", WAIT_MAX_S, WAIT_MAX_S)
            )
        else:
            found = await self._administration.run_store(
                lambda store: store.fleet_changes.find(change_id)
            )
        if found is None:
            raise no_such_change(change_id)
        return json_response(described(found))

    async def devices(self, request: Request) -> Response:
        """List the devices of a change, in its order."""
        change_id, parameters = request.path_params["id"], request.query_params
        states = read_states(parameters.get("state"))
        limit = number(request, "limit", TARGETS_LIMIT_DEFAULT, TARGETS_LIMIT_MAX)
        # Pages begin behind a position, the first of which is 0.
        after = number(request, "from", 0, 2**53) - 1
        change, found = await self._administration.run_store(
            lambda store: (
                store.fleet_changes.find(change_id),
                store.fleet_changes.targets(change_id, after, limit, states),
            )
        )
        if change is None:
            raise no_such_change(change_id)
        return json_response(targets_page(found, limit))

    async def pause(self, request: Request) -> Response:
        """Stop writing."""
        return json_response(described(await self._control.pause(request.path_params["id"])))

    async def resume(self, request: Request) -> Response:
        """Go on."""
        return json_response(described(await self._control.resume(request.path_params["id"])))

    async def undo(self, request: Request) -> Response:
        """Restore what was there before."""
        return json_response(described(await self._control.undo(request.path_params["id"])))


def targets_page(found: Sequence[StoredTarget], limit: int) -> dict[str, object]:
    """Describe a page of devices; `next` is where the next one begins, or null."""
    following = found[-1].position + 1 if len(found) == limit else None
    return {"devices": [*map(described_target, found)], "next": following}
