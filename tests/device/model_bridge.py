"""A bridge reduced to what a device can see of it, with a network that may do its worst."""

from __future__ import annotations

import orjson

from bridge.device import JsonObject, JsonValue
from bridge.device.payload import decode
from tests.device.merge_patch import apply_patch

GAPS_REMEMBERED = 16
"""As the bridge's: more open gaps in one boot, and the oldest would be given up."""


class ModelBridge:
    """Takes reports in any order, any number of times; knows each by boot and seq."""

    def __init__(self) -> None:
        self.reports: dict[str, dict[int, bytes]] = {}

    @property
    def version(self) -> int:
        """Grows with every report."""
        return sum(len(reports) for reports in self.reports.values())

    def answer(self, payload: bytes) -> bytes:
        """Take a report, durably, and return the reply."""
        metadata = self.metadata(payload)
        boot, seq = metadata["boot"], metadata["seq"]
        assert isinstance(boot, str)
        assert isinstance(seq, int)
        known = self.reports.setdefault(boot, {})
        duplicate = seq in known
        assert known.setdefault(seq, payload) == payload, "a repeat has other bytes"
        assert self._open_gaps(known) <= GAPS_REMEMBERED
        return self._reply(
            metadata, ok=True, version=self.version, changed=not duplicate, duplicate=duplicate
        )

    def refuse(self, payload: bytes, **members: JsonValue) -> bytes:
        """Take nothing, and say so."""
        return self._reply(self.metadata(payload), ok=False, **members)

    def reported(self) -> JsonValue:
        """Return what all reports together come to, in the order that boots and seqs give."""
        state: JsonValue = {}
        for reports in self.reports.values():
            for _, payload in sorted(reports.items()):
                document = decode(payload)
                metadata = document.pop("$")
                assert isinstance(metadata, dict)
                state = apply_patch({} if metadata.get("full") else state, document)
        return state

    def metadata(self, payload: bytes) -> JsonObject:
        """Return the `$` of a report."""
        metadata = decode(payload)["$"]
        assert isinstance(metadata, dict)
        return metadata

    def _reply(self, metadata: JsonObject, **members: JsonValue) -> bytes:
        return orjson.dumps({"$": {"id": metadata["id"], **members}})

    def _open_gaps(self, known: dict[int, bytes]) -> int:
        present = sorted(known)
        return sum(
            1 for lower, upper in zip([0, *present], present, strict=False) if upper > lower + 1
        )
