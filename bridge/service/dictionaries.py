"""The dictionaries: those of the store, known to this process and retained at the broker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from bridge.core.topics import TopicGrammar
from bridge.link.base import Publication
from bridge.logs import get_logger
from bridge.service.packer import Packer
from bridge.service.publisher import Publisher
from bridge.service.store_thread import StoreThread
from bridge.wire.dictionaries import Dictionary, NoDictionary
from bridge.wire.outbound import CONTENT_TYPES

DICTIONARY_CONTENT_TYPE: Final = "application/octet-stream"

_log = get_logger("bridge")


async def load_dictionaries(
    packer: Packer, grammar: TopicGrammar, store: StoreThread, publisher: Publisher
) -> DictionaryAnnouncer:
    """Return the announcer of what the store has, which the packer knows from now on.

    Raises:
        StoreError: It cannot be read.
    """
    announcer = DictionaryAnnouncer(packer, grammar, store, publisher)
    await announcer.load()
    return announcer


class DictionaryAnnouncer:
    """Keeps the store's dictionaries known here, and retained at the broker.

    Args:
        packer: Uses them.
        grammar: The topics.
        store: Where they are.
        publisher: Sends them.
    """

    def __init__(
        self, packer: Packer, grammar: TopicGrammar, store: StoreThread, publisher: Publisher
    ) -> None:
        self._packer = packer
        self._grammar = grammar
        self._store = store
        self._publisher = publisher
        self._known: list[Dictionary] = []
        self._current: bytes = b""

    async def load(self) -> None:
        """Read them from the store.

        Raises:
            StoreError: It cannot be read.
        """
        rows = await self._store.run(lambda store: store.dictionaries.list_all())
        known = [Dictionary(row.id, row.content) for row in rows]
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

    async def changed(self, gone: Iterable[int]) -> None:
        """Take up what the store has now, and clear the topics of those that went."""
        await self.load()
        self.announce()
        for number in gone:
            self._publisher.reply(Publication(self._grammar.dictionary(number), b"", True))
        self._publisher.pump()
