"""Sealing what goes down, for the one who is to read it (docs/sealed-payloads.md).

Every publication passes here last, so that nothing about a device with a key leaves the bridge in
clear, whoever has made it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from bridge.core.topics import VERBS, TwinKey
from bridge.link.base import Publication
from bridge.security.sealing import DeviceKey, Sealer
from bridge.service.keyring import Keyring

SEALERS_KEPT: Final = 20_000
"""Sealers, each of one key on one topic: about 30 MiB. One that is forgotten begins a new boot."""

_REPLY: Final = "reply"
_KEY: Final = "key"
_STATES: Final = (["state"], ["state", "msgpack"])
"""What stands behind the levels of a twin on the topics of its state."""


class Downlink:
    """Seals publications.

    Args:
        keyring: The keys.
        prefix: Of all topics.
        sealers_kept: Sealers in memory at most.
    """

    def __init__(self, keyring: Keyring, prefix: str, sealers_kept: int = SEALERS_KEPT) -> None:
        self._keyring = keyring
        self._below = len(prefix) + 1
        self._sealers_kept = sealers_kept
        self._sealers: OrderedDict[str, tuple[str, Sealer]] = OrderedDict()

    def seal(self, publication: Publication) -> Publication:
        """Return a publication as its reader is to get it.

        One that is empty stays so: it clears a retained topic. One becomes empty whose reader has
        a key no more: what was retained for it is cleared, and it is told nothing.
        """
        topic, payload = publication.topic, publication.payload
        if not payload or not len(self._keyring):
            return publication
        kept = self._sealers.get(topic)
        if kept is not None:
            self._sealers.move_to_end(topic)
            sealer: Sealer | None = kept[1]
        else:
            levels = topic[self._below :].split("/")
            reader = _reader(levels)
            if reader not in self._keyring:
                return publication
            key = self._key(reader, levels)
            sealer = None if key is None else self._new_sealer(key, topic)
        sealed = b"" if sealer is None else sealer.seal(payload)
        return Publication(topic, sealed, publication.retain, None, publication.correlation_data)

    def _key(self, reader: str, levels: Sequence[str]) -> DeviceKey | None:
        """Return what seals for a reader that has, or had, a key; states perhaps for a group."""
        twin = _twin_of_state(levels)
        group = None if twin is None else self._keyring.readers.group_of(twin)
        if group is None:
            return self._keyring.sealing(reader)
        key = self._keyring.sealing(group)
        if key is None:
            self._keyring.note_keyless(group)
        return key

    def _new_sealer(self, key: DeviceKey, topic: str) -> Sealer:
        sealer = Sealer(key, "down", topic)
        self._sealers[topic] = (key.device, sealer)
        if len(self._sealers) > self._sealers_kept:
            self._sealers.popitem(last=False)
        return sealer

    def forget(self, device: str) -> None:
        """Forget what was derived from a device's keys, after they have changed.

        And how what is about it was sealed, for whomever: it may have to be in clear now.
        """
        about = f"{device}/"
        gone = [
            topic
            for topic, kept in self._sealers.items()
            if kept[0] == device or topic.startswith(about, self._below)
        ]
        for topic in gone:
            del self._sealers[topic]


def _reader(levels: Sequence[str]) -> str:
    """Return for whom a topic is: a reply for who has asked, all else for the device.

    Nobody's is what answers an enrolment: who asks has no key yet, or has lost the one that is
    known here. What is secret in it is sealed otherwise.
    """
    if levels[1:] == [_KEY]:
        return ""
    is_reply = len(levels) > 2 and levels[-2] == _REPLY
    return levels[-1] if is_reply else levels[0]


def _twin_of_state(levels: Sequence[str]) -> TwinKey | None:
    """Return whose state stands on a topic; None where something else does."""
    device, *below = levels
    name = below.pop(0) if below and below[0] not in VERBS else ""
    return TwinKey(device, name) if below in _STATES else None
