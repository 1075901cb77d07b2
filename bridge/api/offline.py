"""Administration of a store that no bridge holds: the same routes, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx
from starlette.types import Receive, Scope, Send

from bridge.api.acting import Actor, own_actor, scope_of
from bridge.api.admin import create_app
from bridge.api.client import AdminClient
from bridge.api.orphans import Orphan, PublishedEncoding, RetainedTopic, find_orphans
from bridge.core.orders import Order
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.reconcile import Outcome
from bridge.core.topics import TwinKey
from bridge.errors import AdminError
from bridge.store.audit import AuditRow
from bridge.store.base import Store

if TYPE_CHECKING:
    from bridge.security.key_wrapping import KeyWrapper

Result = TypeVar("Result")

Apply = Callable[[TwinKey, Order, AuditRow | None], Outcome]
"""Carries out an order and commits what comes of it, as `bridge.service.apply_offline` does."""


@contextmanager
def offline_client(
    store: Store,
    path: Path,
    apply: Apply,
    policies: Policies = NO_POLICIES,
    encoding: PublishedEncoding = "json",
    read_wrapping_key: Callable[[], bytes | None] = lambda: None,
    reader_groups: Collection[str] = (),
) -> Iterator[AdminClient]:
    """Answer for a store that is open in this process.

    Args:
        store: The store; the caller closes it.
        path: Where it is.
        apply: Changes a twin in it.
        policies: Which conflict policy holds where.
        encoding: In what a bridge on this store would publish.
        read_wrapping_key: Returns the key that wraps the keys of devices, where one is set.
        reader_groups: Names of groups that read states.
    """
    holder = _Holder(store, apply, policies, encoding, read_wrapping_key, reader_groups)
    transport = _InProcess(holder, path)
    with AdminClient(path, transport) as client:
        yield client


class _Holder:
    """Holds a store in the thread that asks."""

    def __init__(
        self,
        store: Store,
        apply: Apply,
        policies: Policies,
        encoding: PublishedEncoding,
        read_wrapping_key: Callable[[], bytes | None],
        reader_groups: Collection[str],
    ) -> None:
        self._store = store
        self._apply = apply
        self._encoding = encoding
        self._read_wrapping_key = read_wrapping_key
        self.policies = policies
        self.fleet = None
        self.reader_groups = reader_groups

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store."""
        return function(self._store)

    async def apply(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Change a twin."""
        return self._apply(key, order, act)

    async def reload_permissions(self, actor: Actor) -> Mapping[str, object]:  # noqa: ARG002
        """Refuse: nobody is here that has read them."""
        raise AdminError(
            "no bridge runs on this store that could read its permissions again",
            hint="a bridge reads them when it starts; `syncbridge permissions check` does so too",
        )

    async def reload_schemas(self, actor: Actor) -> Mapping[str, object]:  # noqa: ARG002
        """Refuse: nobody is here that has read them."""
        raise AdminError(
            "no bridge runs on this store that could read its schemas again",
            hint="a bridge reads them when it starts; `syncbridge schemas check` tries one",
        )

    def key_wrapper(self) -> KeyWrapper | None:
        """Return what wraps the keys of devices."""
        # Only here: most commands have nothing to do with OpenSSL.
        from bridge.security.key_wrapping import KeyWrapper

        key = self._read_wrapping_key()
        return None if key is None else KeyWrapper(key)

    async def keys_changed(self, device: str) -> None:
        """Do nothing: a bridge reads the keys when it starts."""

    async def dictionaries_changed(self) -> None:
        """Do nothing: the bridge that comes reads and announces them."""

    async def find_orphans(
        self,
        topics: Sequence[RetainedTopic],
        *,
        clear: bool,
        act: AuditRow | None = None,  # noqa: ARG002 - the protocol's
    ) -> Sequence[Orphan]:
        """Tell which retained topics belong to no twin; there is no broker here to clear them."""
        if clear:
            raise AdminError("no bridge runs on this store that could clear retained topics")
        return find_orphans(self._store, topics, self._encoding)


class _InProcess(httpx.BaseTransport):
    """Hands requests to the application itself, one after the other."""

    def __init__(self, holder: _Holder, path: Path) -> None:
        app = create_app(holder, path)
        state = scope_of(own_actor("offline"))

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": state}, receive, send)

        self._application = httpx.ASGITransport(application)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the application's whole answer."""
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._application.handle_async_request(request)
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=body)
