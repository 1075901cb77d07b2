"""Keys of devices: making, listing, revoking and forgetting them, for administration.

A key stands in the answer that makes it and nowhere else: what is kept is wrapped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import Actor, act, actor_of
from bridge.api.administration import KeyAdministration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, read_body
from bridge.core.topics import is_device_id
from bridge.security.frame import ALGORITHM_NAMES, Algorithm
from bridge.store.base import Store
from bridge.store.device_keys import DEVICE_KEYS_KEPT, StoredDeviceKey

if TYPE_CHECKING:
    from bridge.security.key_wrapping import KeyWrapper
    from bridge.security.sealing import DeviceKey

_BY_NAME: Final = {name: algorithm for algorithm, name in ALGORITHM_NAMES.items()}


def key_routes(administration: KeyAdministration) -> list[Route]:
    """Return the routes."""
    routes = _Routes(administration)
    return [
        Route("/v1/keys", routes.create, methods=["POST"]),
        Route("/v1/keys", routes.list_all, methods=["GET"]),
        Route("/v1/keys/{device}", routes.revoke, methods=["DELETE"]),
        Route("/v1/keys/{device}/forget", routes.forget, methods=["POST"]),
        Route("/v1/keys/{device}/activate", routes.activate, methods=["POST"]),
    ]


class _Routes:
    def __init__(self, administration: KeyAdministration) -> None:
        self._administration = administration

    async def create(self, request: Request) -> Response:
        """Make the next key of a device; its text is in this answer and nowhere else."""
        body = await read_body(request)
        device = _device(body.get("device"))
        algorithm = _algorithm(body.get("algorithm"))
        must_rotate = body.get("rotate") is True
        wrapper = self._administration.key_wrapper()
        if wrapper is None:
            raise RequestProblem(
                HTTPStatus.CONFLICT,
                "no key is set that keys of devices could be wrapped with",
                hint="set sealing.wrapping_key_file, and start the bridge again if it runs",
            )
        actor = actor_of(request)
        key, row = await self._administration.run_store(
            lambda store: _install(store, wrapper, device, algorithm, actor, rotate=must_rotate)
        )
        await self._administration.keys_changed(device)
        return json_response({**_described(row), "key": key.secret.hex()})

    async def list_all(self, request: Request) -> Response:
        """List keys of all devices or of one, without the keys themselves."""
        device = request.query_params.get("device")
        rows = await self._administration.run_store(
            lambda store: (
                store.device_keys.list_all()
                if device is None
                else store.device_keys.of_device(device)
            )
        )
        return json_response({"keys": [*map(_described, rows)]})

    async def activate(self, request: Request) -> Response:
        """Make the next key of a group of readers the active one."""
        group = request.path_params["device"]
        if group not in self._administration.reader_groups:
            raise RequestProblem(
                HTTPStatus.CONFLICT,
                f"{group} is no group of sealing.readers: the next key of a device becomes active "
                "with the first message that the device seals with it",
                hint="bring the key to the device; activated before, it would lock the device out",
            )
        actor = actor_of(request)
        key_id = await self._administration.run_store(lambda store: _activate(store, group, actor))
        # Also where nothing was left to do: the attempt before may have failed after its commit.
        await self._administration.keys_changed(group)
        if key_id is None:
            raise RequestProblem(
                HTTPStatus.NOT_FOUND,
                f"{group} has no key that is next",
                hint=f"make one: syncbridge keys rotate {group}",
            )
        return json_response({"device": group, "key_id": key_id})

    async def revoke(self, request: Request) -> Response:
        """Revoke one key of a device, or all."""
        device = request.path_params["device"]
        given = request.query_params.get("key_id")
        if given is not None and not (given.isascii() and given.isdecimal() and len(given) <= 10):
            raise RequestProblem(HTTPStatus.BAD_REQUEST, "`key_id` must be an integer")
        key_id = None if given is None else int(given)
        now = time.time_ns() // 1000
        done = act(
            actor_of(request), "key.revoke", device, key_id="all" if key_id is None else key_id
        )
        revoked = await self._administration.run_store(
            lambda store: store.device_keys.revoke(device, key_id, now, done)
        )
        await self._administration.keys_changed(device)  # as above
        if not revoked:
            which = "key that is valid" if key_id is None else f"valid key {key_id}"
            raise RequestProblem(HTTPStatus.NOT_FOUND, f"{device} has no {which}")
        return json_response({"device": device, "revoked": revoked})

    async def forget(self, request: Request) -> Response:
        """Let a device whose keys are all revoked send in clear again."""
        device = request.path_params["device"]
        now = time.time_ns() // 1000
        done = act(actor_of(request), "key.forget", device)
        forgotten = await self._administration.run_store(
            lambda store: store.device_keys.forget(device, now, done)
        )
        await self._administration.keys_changed(device)  # as above
        if forgotten is None:
            raise RequestProblem(
                HTTPStatus.CONFLICT,
                f"{device} has a key that is valid: nothing was forgotten",
                hint=f"revoke its keys first: syncbridge keys revoke {device}",
            )
        if not forgotten:
            raise RequestProblem(HTTPStatus.NOT_FOUND, f"{device} has no key")
        return json_response({"device": device, "forgotten": forgotten})


def _install(
    store: Store,
    wrapper: KeyWrapper,
    device: str,
    algorithm: Algorithm | None,
    actor: Actor,
    *,
    rotate: bool,
) -> tuple[DeviceKey, StoredDeviceKey]:
    # Only here: most commands have nothing to do with OpenSSL.
    from bridge.security.key_wrapping import new_device_key

    keys = store.device_keys
    before = keys.of_device(device)
    if rotate and not before:
        raise RequestProblem(
            HTTPStatus.NOT_FOUND,
            f"{device} has no key that could be replaced",
            hint=f"make its first one: syncbridge keys create {device}",
        )
    if algorithm is None:
        algorithm = Algorithm(before[0].algorithm) if before else Algorithm.AES_256_GCM
    key = new_device_key(device, keys.next_id(device), algorithm)
    name = "key.rotate" if rotate else "key.create"
    done = act(actor, name, device, key_id=key.key_id, algorithm=ALGORITHM_NAMES[algorithm])
    wrapped, now = wrapper.wrap(key), time.time_ns() // 1000
    row = keys.install(device, key.key_id, algorithm, wrapped, now, act=done)
    if row is None:
        raise RequestProblem(
            HTTPStatus.CONFLICT, f"{DEVICE_KEYS_KEPT} keys are kept already, or the ids are used up"
        )
    return key, row


def _activate(store: Store, group: str, actor: Actor) -> int | None:
    rows = store.device_keys.of_device(group)
    key_id = next((row.key_id for row in rows if row.state == "next"), None)
    if key_id is not None:
        done = act(actor, "key.activate", group, key_id=key_id)
        store.device_keys.activate(group, key_id, time.time_ns() // 1000, done)
    return key_id


def _device(value: object) -> str:
    if not isinstance(value, str) or not is_device_id(value):
        raise RequestProblem(HTTPStatus.BAD_REQUEST, "`device` must be a device id")
    return value


def _algorithm(value: object) -> Algorithm | None:
    if value is None:
        return None
    algorithm = _BY_NAME.get(value) if isinstance(value, str) else None
    if algorithm is None:
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, f"`algorithm` must be one of {', '.join(_BY_NAME)}"
        )
    return algorithm


def _described(row: StoredDeviceKey) -> Mapping[str, object]:
    return {
        "device": row.device,
        "key_id": row.key_id,
        "algorithm": ALGORITHM_NAMES[Algorithm(row.algorithm)],
        "state": row.state,
        "created_at": row.created_at,
        "changed_at": row.changed_at,
    }
