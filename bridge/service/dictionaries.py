"""The dictionaries: those of the store, known to this process and retained at the broker.

Before the topic of one that is forgotten is cleared, every retained delta is published again: any
of them may have been compressed with it, and its device could not read it any more.
"""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from bridge.core.topics import TopicGrammar, TwinKey
from bridge.link.base import Publication
from bridge.logs import get_logger
from bridge.service.identity import keep_fact
from bridge.service.packer import Packer
from bridge.service.publisher import Publisher
from bridge.service.store_thread import StoreThread
from bridge.service.unpublished import publication_of, read_changed
from bridge.wire.dictionaries import Dictionary, NoDictionary
from bridge.wire.outbound import CONTENT_TYPES

DICTIONARY_CONTENT_TYPE: Final = "application/octet-stream"

DICTIONARIES_TOLD: Final = "dictionaries_told"
"""Name of the store's fact that holds the ids of all dictionaries whose topics may be retained."""

_log = get_logger("bridge")


async def load_dictionaries(
    packer: Packer,
    grammar: TopicGrammar,
    store: StoreThread,
    publisher: Publisher,
    rebuild_per_s: int,
) -> DictionaryAnnouncer:
    """Return the announcer of what the store has, which the packer knows from now on.

    Raises:
        StoreError: It cannot be read.
    """
    announcer = DictionaryAnnouncer(packer, grammar, store, publisher, rebuild_per_s)
    await announcer.load()
    return announcer


class DictionaryAnnouncer:
    """Keeps the store's dictionaries known here, and retained at the broker.

    Args:
        packer: Uses them.
        grammar: The topics.
        store: Where they are.
        publisher: Sends them.
        rebuild_per_s: Pace of publishing deltas again, in twins.
    """

    def __init__(
        self,
        packer: Packer,
        grammar: TopicGrammar,
        store: StoreThread,
        publisher: Publisher,
        rebuild_per_s: int,
    ) -> None:
        self._packer = packer
        self._grammar = grammar
        self._store = store
        self._publisher = publisher
        self._rebuild_per_s = rebuild_per_s
        self._known: list[Dictionary] = []
        self._current: bytes = b""
        self._gone: set[int] = set()
        self._has_gone = asyncio.Event()

    async def load(self) -> None:
        """Read them from the store.

        Raises:
            StoreError: It cannot be read.
        """
        rows = await self._store.run(lambda store: store.dictionaries.list_all())
        known = [Dictionary(row.id, row.content) for row in rows]
        await self._look_for_gone({row.id for row in rows})
        # From here on it does not wait: none may be used before it can be announced.
        try:
            self._packer.dictionaries.replace(known)
        except NoDictionary as error:
            _log.error("the dictionaries in the store cannot be used", reason=str(error))
            return
        self._known = known
        if rows:
            current = rows[0]
            document = {"id": current.id, "at": current.created_at,
                        "size_bytes": len(current.content),
                        "ids": [row.id for row in rows]}  # fmt: skip
            self._current = orjson.dumps(document)

    async def _look_for_gone(self, ids: set[int]) -> None:
        """Find out which have gone, also while no bridge ran, or since one was killed."""
        facts = await self._store.run(lambda store: store.metadata())
        told = set(map(int, facts.get(DICTIONARIES_TOLD, "").split()))
        self._gone = told - ids
        if self._gone:
            self._has_gone.set()
        if not ids <= told:
            text = _text(told | ids)
            await self._store.run(lambda store: store.set_metadata(DICTIONARIES_TOLD, text))

    def announce(self) -> None:
        """Publish them all, each before what names it."""
        for dictionary in self._known:
            topic = self._grammar.dictionary(dictionary.id)
            self._publisher.reply(
                Publication(topic, dictionary.content, True, DICTIONARY_CONTENT_TYPE)
            )
        if self._known:
            topic = self._grammar.dictionary()
            self._publisher.reply(Publication(topic, self._current, True, CONTENT_TYPES["json"]))
        self._publisher.pump()

    async def changed(self) -> None:
        """Take up what the store has now; what is gone is forgotten in its time, see `run`."""
        await self.load()
        self.announce()

    async def run(self) -> None:
        """Forget at the broker what the store has forgotten, until cancelled."""
        while True:
            await self._has_gone.wait()
            self._has_gone.clear()
            gone = self._gone
            await self._publish_deltas()
            for number in gone:
                self._publisher.reply(Publication(self._grammar.dictionary(number), b"", True))
            self._publisher.pump()
            self._gone -= gone
            told = {dictionary.id for dictionary in self._known} | self._gone
            await keep_fact(self._store, DICTIONARIES_TOLD, _text(told))

    async def _publish_deltas(self) -> None:
        """Publish every delta again, compressed anew, at the configured pace."""
        after: TwinKey | None = None
        while page := await read_changed(self._store, 0, after):
            after = page[-1].key
            again = [publication_of(row) for row in page if row.delta is not None]
            self._publisher.offer(again, rebuild=True)
            self._publisher.pump()
            await asyncio.sleep(len(again) / self._rebuild_per_s)
            await self._publisher.wait_for_room()
        await self._publisher.wait_until_rebuilt()


def _text(ids: set[int]) -> str:
    return " ".join(map(str, sorted(ids)))
