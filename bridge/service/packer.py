"""What goes down to devices, compressed as the configuration says."""

from __future__ import annotations

from bridge.core.compression import CompressionRules
from bridge.core.topics import TwinKey
from bridge.link.base import Publication
from bridge.service.sealing import Sealing
from bridge.wire.compression import compress
from bridge.wire.dictionaries import Dictionaries


class Packer:
    """Compresses what goes down.

    Args:
        rules: How, for which device.
        sealing: Knows which devices have a key. What is sealed for them is not compressed: its
            length would tell of what is in it.

    Attributes:
        dictionaries: Those that are known; also what is sent up is opened with them.
    """

    def __init__(self, rules: CompressionRules, sealing: Sealing | None = None) -> None:
        self._rules = rules
        self._sealing = sealing
        self.dictionaries = Dictionaries()

    def pack(self, key: TwinKey, publication: Publication) -> Publication:
        """Return a publication as it is to be sent to a device."""
        how = self._rules.of(key)
        sealing = self._sealing
        if how == "none" or (sealing is not None and key.device in sealing.keyring):
            return publication
        payload = compress(publication.payload, how, self.dictionaries)
        if payload is publication.payload:
            return publication
        # A wrapper has no content type: its first byte tells what it is.
        return Publication(
            publication.topic,
            payload,
            publication.retain,
            None,
            publication.correlation_data,
        )
