"""Twins that answer `get` with `since`: one that keeps everything, and the bridge's own."""

from __future__ import annotations

import copy
from typing import Protocol

import orjson

from bridge.core.limits import Limits
from bridge.core.reconcile import delete, no_such_twin, reconcile, reconcile_presence
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Metadata, Presence, SectionName, Update
from bridge.device import JsonObject
from bridge.device.payload import decode
from bridge.wire.inbound import decode_get
from bridge.wire.outbound import encode, refusal_answer, twin_answer
from tests.device.merge_patch import apply_patch, patch_between, same

LIMITS = Limits(tombstone_ttl_us=1000)
"""Removals are forgotten after so long on the clock of the test, so that horizons are met."""

LATE_US = 45
"""So much before its arrival a late patch was decided: before some of the last changes."""


class AnswersGet(Protocol):
    """A bridge with one twin."""

    def change(self, section: SectionName, patch: JsonObject, *, full: bool, late: bool) -> None:
        """Merge a patch; a late one was decided long ago."""

    def say_online(self, *, online: bool) -> None:
        """Change the presence."""

    def delete(self) -> None:
        """Delete the twin."""

    def wait(self) -> None:
        """Let removals grow old."""

    def whole(self) -> JsonObject | None:
        """Return the twin with version, at and online; None where there is none."""

    def answer(self, payload: bytes) -> bytes:
        """Answer a `get`."""


class ModelTwin:
    """Keeps the document of every version, and compares two of them to answer."""

    def __init__(self) -> None:
        self._versions: list[JsonObject | None] = [None]
        self._horizon = 0

    def change(self, section: SectionName, patch: JsonObject, *, full: bool, late: bool) -> None:
        """Merge a patch, also into a twin that was deleted."""
        present = self._versions[-1] or {"reported": {}, "desired": {}}
        before = present[section]
        after = apply_patch({} if full or late else before, patch)
        if not same(after, before):
            self._add({**present, section: after})

    def say_online(self, *, online: bool) -> None:
        """Change the presence of a twin that there is."""
        present = self._versions[-1]
        if present is not None and present.get("online") is not online:
            self._add({**present, "online": online})

    def delete(self) -> None:
        """Delete the twin; what was before is below its horizon."""
        if self._versions[-1] is not None:
            self._add(None)
            self.wait()

    def wait(self) -> None:
        """Forget, so that the present version is the oldest from which a patch is given."""
        self._horizon = len(self._versions) - 1

    def whole(self) -> JsonObject | None:
        """Return the newest document."""
        document = self._versions[-1]
        return None if document is None else {**document, "version": len(self._versions) - 1}

    def answer(self, payload: bytes) -> bytes:
        """Answer with a patch from the version asked for where it can be told."""
        request = decode(payload)
        metadata = request["$"]
        assert isinstance(metadata, dict)
        version, present = len(self._versions) - 1, self._versions[-1]
        head: JsonObject = {"id": metadata["id"], "ok": present is not None, "version": version}
        if present is None:
            return orjson.dumps({"$": {**head, "code": 404, "error": "no_such_twin"}})
        since = request.get("since")
        if not isinstance(since, int) or not self._horizon <= since <= version:
            return orjson.dumps({"$": {**head, "full": True}, **present})
        base = self._versions[since]
        assert base is not None
        body: JsonObject = dict(present)
        for section in ("reported", "desired"):
            old, new = base[section], body.pop(section)
            assert isinstance(old, dict)
            assert isinstance(new, dict)
            if since != version:
                body[section] = patch_between(old, new)
        return orjson.dumps({"$": {**head, "since": since}, **body})

    def _add(self, document: JsonObject | None) -> None:
        self._versions.append(document)
        if document is not None:
            document["at"] = 1_800_000_000_000_000 + len(self._versions)


class CoreTwin:
    """A twin of the bridge itself, and the bridge's own bytes."""

    def __init__(self) -> None:
        self._twin = Twin(TwinKey("lamp-1"))
        self._clock = 1_800_000_000_000_000

    def change(self, section: SectionName, patch: JsonObject, *, full: bool, late: bool) -> None:
        """Merge a patch of the device, or of an application."""
        self._clock += 10
        writer = "lamp-1" if section == "reported" else "app"
        time = self._clock - LATE_US if late else None
        update = Update(
            self._twin.key,
            section,
            writer,
            copy.deepcopy(patch),
            Metadata(time=time, full=full),
            orjson.dumps(patch),
        )
        assert reconcile(self._twin, update, self._clock, LIMITS).refusal is None

    def say_online(self, *, online: bool) -> None:
        """Change the presence."""
        self._clock += 10
        if self._twin.exists:
            reconcile_presence(self._twin, Presence(online), self._clock)

    def delete(self) -> None:
        """Delete the twin."""
        self._clock += 10
        delete(self._twin, "app", self._clock)

    def wait(self) -> None:
        """Let what was removed grow so old that it is forgotten with the next change."""
        self._clock += 2 * LIMITS.tombstone_ttl_us

    def whole(self) -> JsonObject | None:
        """Return the document as it stands on `state`."""
        return copy.deepcopy(self._twin.document()) if self._twin.exists else None

    def answer(self, payload: bytes) -> bytes:
        """Answer as the bridge's service does."""
        request, body = decode_get(payload, LIMITS)
        request_id = body.metadata.request_id
        if not self._twin.exists:
            answer = refusal_answer(no_such_twin(self._twin), request_id, self._twin.version)
        else:
            answer = twin_answer(self._twin, request, request_id, 0)
        return encode(answer, body.encoding)
