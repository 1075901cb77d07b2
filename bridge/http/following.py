"""Reading along: first the present, then every change; or on from where a reader was."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
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
from bridge.http.live_query import LiveQuery
from bridge.http.reading import Selection, access_of, shown_object
from bridge.http.searching import Question, Searcher
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
        asked: A query that the twins have to match, and who searches for it; None for none.
    """

    def __init__(
        self,
        backend: Backend,
        authenticator: Authenticator,
        authorization: str | None,
        pattern: DevicePattern,
        selection: Selection | None,
        after: str | None,
        asked: tuple[Question, Searcher] | None = None,
    ) -> None:
        self._backend = backend
        self._authenticator = authenticator
        self._authorization = authorization
        self._pattern = pattern
        self._selection = selection
        self._after = after
        self._asked = asked
        self._live_query: LiveQuery | None = None
        self._principal = ""
        self._permissions: Permissions | None = None
        self._parts: OrderedDict[TwinKey, bytes] = OrderedDict()
        self.reader: Reader | None = None

    async def messages(self) -> AsyncIterator[tuple[str, str | None]]:
        """Yield JSON texts, each with the stamp behind it (None: none yet).

        Raises:
            TooSlow: More changes wait than may.
            RequestProblem: The token does not hold any more, or too many queries are asked.
            RightsChanged: The permissions of the reader have changed.
            QueryError: The search for the present took too long.
        """
        counted = contextlib.nullcontext() if self._asked is None else self._asked[1].following()
        with counted:
            async with contextlib.aclosing(self._messages()) as messages:
                async for pair in messages:
                    yield pair

    async def _messages(self) -> AsyncGenerator[tuple[str, str | None]]:
        hub = self._backend.hub
        self._principal = await self._authenticator.principal(self._authorization)
        self._permissions = self._backend.permissions
        reader = self.reader = hub.subscribe(self._pattern)
        try:
            missed = None if self._after is None else hub.replay(self._after, self._pattern)
            if self._asked is not None:
                self._live_query = LiveQuery(self._asked[0], is_complete=missed is None)
            if missed is None:
                if self._after is not None:
                    # What was missed is not known any more: the reader begins anew.
                    yield '{"type":"reset"}', None
                async for text in self._present(reader):
                    yield text, None
            else:
                for event in self._judged(missed):
                    if (change := self._change(event)) is not None:
                        yield change, event.stamp
            caught_up = hub.stamp
            waiting, reader.waiting = [*self._judged(reader.waiting)], deque()
            if self._live_query is not None:
                # From here on at the commit, so that nothing waits that is nothing to the reader.
                reader.judge = self._live_query.judge
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

    def _judged(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield what changes are to the reader."""
        for event in events:
            judged = event if self._live_query is None else self._live_query.judge(event)
            event.release()
            if judged is not None:
                yield judged

    async def _present(self, reader: Reader) -> AsyncIterator[str]:
        after: TwinKey | None = None
        while True:
            views, after = await self._page(after)
            # Every change that the page holds already waits by now, and would be a repeat.
            seen = {key: view.version for key, view in views}
            reader.waiting = deque(
                event for event in reader.waiting if event.view.version > seen.get(event.key, -1)
            )
            for key, view in views:
                if self._live_query is not None:
                    self._live_query.add(key)
                if view.exists and (text := self._shown("present", None, key, view)) is not None:
                    yield text
            if after is None:
                return

    async def _page(
        self, after: TwinKey | None
    ) -> tuple[list[tuple[TwinKey, View]], TwinKey | None]:
        """Return a page of the present, and the key behind which the next one begins."""
        if self._asked is not None:
            question, searcher = self._asked
            found, following = await searcher.find(question, after, PAGE_TWINS)
            # The search has a thread of its own. What it has seen was committed in the store's,
            # and is told of before anything that is asked of that thread now comes back.
            await self._backend.run_store(lambda _: None)
            views = [(key, view_of(key, _version_in(state), state)) for key, state in found]
            return views, following
        page = await self._backend.run_store(_Page(self._pattern, after).read)
        views = [
            (row.key, view_of(row.key, row.version, row.state))
            for row in page
            if self._pattern.matches(row.key)
        ]
        is_last = not page or _is_of_one_device(self._pattern)
        return views, None if is_last else page[-1].key

    def _change(self, event: Event) -> str | None:
        access = access_of(self._backend, self._principal, event.key)
        if event.kind != "leave" and event.view.exists and self._is_whole(access):
            return event.text
        return self._shown(event.kind, event.stamp, event.key, event.view)

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
        if kind == "leave" or not view.exists:
            self._parts.pop(key, None)
            head |= {"device": key.device, "name": key.name, "version": view.version}
            return orjson.dumps(head).decode()
        document: JsonObject = orjson.loads(view.document)
        if not self._is_whole(access):
            document = shown_object(document, access, self._selection)
            part = orjson.dumps([document.get(section) for section in SECTIONS])
            if kind == "change" and self._parts.get(key) == part:
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


def _version_in(state: bytes) -> int:
    version: int = orjson.loads(state)["version"]
    return version


def _is_of_one_device(pattern: DevicePattern) -> bool:
    return is_literal(pattern.device)
