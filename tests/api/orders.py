"""Orders for the tests of administration: what devices and applications would have sent."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, SectionName, Update

LAMP = TwinKey("lamp-1")


def update(
    patch: dict[str, Any],
    *,
    section: SectionName = "desired",
    writer: str = "app-1",
    key: TwinKey = LAMP,
    **metadata: Any,
) -> Update:
    """Return an update of a section."""
    payload = orjson.dumps([patch, metadata])
    return Update(
        key, section, writer, patch, Metadata(**metadata), payload, size_bytes=len(payload)
    )


def report(patch: dict[str, Any], *, key: TwinKey = LAMP, **metadata: Any) -> Update:
    """Return a report of the device."""
    return update(patch, section="reported", writer=key.device, key=key, **metadata)
