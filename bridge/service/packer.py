"""What goes down to devices, compressed as the configuration says."""

from __future__ import annotations

from bridge.core.compression import CompressionRules
from bridge.core.topics import TwinKey
from bridge.link.base import Publication
from bridge.wire.compression import compress
from bridge.wire.dictionaries import Dictionaries


class Packer:
    """Compresses what goes down.

    Args:
        rules: How, for which device.

    Attributes:
        dictionaries: Those that are known; also what is sent up is opened with them.
    """

    def __init__(self, rules: CompressionRules) -> None:
        self._rules = rules
        self.dictionaries = Dictionaries()

    def pack(self, key: TwinKey, publication: Publication) -> Publication:
        """Return a publication as it is to be sent to a device."""
        how = self._rules.of(key)
        if how == "none":
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
