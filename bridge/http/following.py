"""Reading along: first the present, then every change; or on from where a reader was."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import orjson

from bridge.core.access import Access
from bridge.core.pattern import DevicePattern, is_literal
from bridge.core.permissions import Permissions
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import SECTIONS
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.hub import Event, Reader
from bridge.http.reading import Selection, access_of, shown_object
from bridge.http.shelf import View, view_of
from bridge.store.base import Store, StoredTwin

HEARTBEAT_S: Final = 15.0
"""Silence after which something is sent all the same, and the token is looked at again."""

PAGE_TWINS: Final = 100
"""Twins of the present that are read at once."""

PARTS_REMEMBERED: Final = 10_000
"""Twins of which it is remembered what a reader of parts has seen; of others it may see the same
part again."""

HEARTBEAT: Final = '{"type":"heartbeat"}'


RIGHTS_CHANGED: Final = "the permissions have changed: read anew"
"""Why a stream is closed."""


class TooSlow(Exception):
    """More changes wait for the reader than may."""


class RightsChanged(Exception):
    """The permissions of the reader have changed: what it has seen does not fit them any more."""


class Following:
    """One who reads along.

    Args:
        backend: Holds the twins.
        authenticator: Tells whether the token still holds.
        authorization: The token, as it came; None for none.
        pattern: Which twins.
        selection: What of them; None for all.
        after: Where the reader was, or None.
    """

    def __init__(
        self,
        backend: Backend,
        authenticator: Authenticator,
        authorization: str | None,
        pattern: DevicePattern,
        selection: Selection | None,
        after: str | None,
    ) -> None:
        self._backend = backend
        self._authenticator = authenticator
        self._authorization = authorization
        self._pattern = pattern
        self._selection = selection
        self._after = after
        self._principal = ""
        self._permissions: Permissions | None = None
        self._parts: OrderedDict[TwinKey, bytes] = OrderedDict()
        self.reader: Reader | None = None

    async def messages(self) -> AsyncIterator[tuple[str, str | None]]:
        """Yield JSON texts, each with the stamp behind it (None: none yet).

        Raises:
            TooSlow: More changes wait than may.
            RequestProblem: The token does not hold any more.
            RightsChanged: The permissions of the reader have changed.
        """
        hub = self._backend.hub
        self._principal = await self._authenticator.principal(self._authorization)
        self._permissions = self._backend.permissions
        reader = self.reader = hub.subscribe(self._pattern)
        try:
            missed = None if self._after is None else hub.replay(self._after, self._pattern)
            if missed is None:
                if self._after is not None:
                    # What was missed is not known any more: the reader begins anew.
                    yield '{"type":"reset"}', None
                async for text in self._present(reader):
                    yield text, None
            else:
                for event in missed:
                    if (change := self._change(event)) is not None:
                        yield change, event.stamp
            caught_up = hub.stamp
            waiting, reader.waiting = reader.waiting, deque()
            for event in waiting:
                if (change := self._change(event)) is not None:
                    yield change, None if missed is None else event.stamp
            yield f'{{"type":"live","stamp":"{caught_up}"}}', caught_up
            async for pair in self._live(reader):
                yield pair
        finally:
            hub.unsubscribe(reader)

    async def _live(self, reader: Reader) -> AsyncIterator[tuple[str, str | None]]:
        while True:
            self._check_rights()
            while reader.waiting:
                event = reader.waiting.popleft()
                if (text := self._change(event)) is not None:
                    yield text, event.stamp
            if reader.overflowed.is_set():
                raise TooSlow
            if reader.has_ended:
                return
            reader.arrived.clear()
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await reader.arrived.wait()
            except TimeoutError:
                yield HEARTBEAT, None
            await self._authenticator.principal(self._authorization)

    def _check_rights(self) -> None:
        """Raise `RightsChanged` where it is so; the rights of others do not matter."""
        now, then = self._backend.permissions, self._permissions
        if now is then or now is None or then is None:
            return
        if now.concerning(self._principal) != then.concerning(self._principal):
            raise RightsChanged
        self._permissions = now

    async def _present(self, reader: Reader) -> AsyncIterator[str]:
        after: TwinKey | None = None
        while True:
            page = await self._backend.run_store(_Page(self._pattern, after).read)
            rows = [row for row in page if self._pattern.matches(row.key)]
            # Every change that the page holds already waits by now, and would be a repeat.
            seen = {row.key: row.version for row in rows}
            reader.waiting = deque(
                event for event in reader.waiting if event.view.version > seen.get(event.key, -1)
            )
            for row in rows:
                if row.exists and (text := self._state(row)) is not None:
                    yield text
            if not page or _is_of_one_device(self._pattern):
                return
            after = page[-1].key

    def _state(self, row: StoredTwin) -> str | None:
        return self._shown("present", None, row.key, view_of(row.key, row.version, row.state))

    def _change(self, event: Event) -> str | None:
        access = access_of(self._backend, self._principal, event.key)
        if event.view.exists and self._is_whole(access):
            return event.text
        return self._shown("change", event.stamp, event.key, event.view)

    def _is_whole(self, access: Access | None) -> bool:
        return self._selection is None and (access is None or access.reads_all)

    def _shown(self, kind: str, stamp: str | None, key: TwinKey, view: View) -> str | None:
        """Return what a reader sees of a twin; None where it sees nothing new."""
        access = access_of(self._backend, self._principal, key)
        if access is not None and not access.reads_some:
            return None
        head: JsonObject = {"type": kind if view.exists else "deleted"}
        if stamp is not None:
            head["stamp"] = stamp
        if not view.exists:
            self._parts.pop(key, None)
            head |= {"device": key.device, "name": key.name, "version": view.version}
            return orjson.dumps(head).decode()
        document: JsonObject = orjson.loads(view.document)
        if not self._is_whole(access):
            document = shown_object(document, access, self._selection)
            part = orjson.dumps([document.get(section) for section in SECTIONS])
            if self._parts.get(key) == part:
                return None
            self._parts[key] = part
            if len(self._parts) > PARTS_REMEMBERED:
                self._parts.popitem(last=False)
        return orjson.dumps({**head, **document}).decode()


class _Page:
    def __init__(self, pattern: DevicePattern, after: TwinKey | None) -> None:
        self._pattern = pattern
        self._after = after

    def read(self, store: Store) -> Sequence[StoredTwin]:
        """Return a page of twins; all of one device at once."""
        if not _is_of_one_device(self._pattern):
            return store.changed_since(0, self._after, PAGE_TWINS)
        loaded = store.load([*self._keys(store)])
        return [*loaded.values()]

    def _keys(self, store: Store) -> Iterator[TwinKey]:
        device = self._pattern.device[0]
        yield TwinKey(device)
        for name in store.twin_names(device):
            yield TwinKey(device, name)


def _is_of_one_device(pattern: DevicePattern) -> bool:
    return is_literal(pattern.device)
