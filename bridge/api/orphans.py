"""Which retained topics belong to no twin: those of deleted and unknown ones, and old forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from bridge.core.topics import TwinKey
from bridge.store.base import Store, StoredTwin
from bridge.store.codec import decode_twin

PublishedEncoding: TypeAlias = Literal["json", "msgpack", "both"]

Reason: TypeAlias = Literal["unknown", "deleted", "encoding"]
"""There is no such twin, there is none any more, or nothing is published there in this encoding."""

BESIDE_JSON: Final = ("state/msgpack", "delta/msgpack")
"""What is retained of a twin only where both encodings are published."""

BELOW_TWIN: Final = ("state", "delta", "presence", *BESIDE_JSON)
"""All that is retained of a twin, below its levels."""


class RetainedTopic(NamedTuple):
    """A topic on which something is retained.

    Attributes:
        key: The twin that it would belong to.
        below: What follows the twin's levels, one of `BELOW_TWIN`.
    """

    key: TwinKey
    below: str


class Orphan(NamedTuple):
    """A retained topic that belongs to no twin.

    Attributes:
        topic: The topic.
        reason: Why it does not.
        version: The version of the twin that is gone; 0 where there was none.
    """

    topic: RetainedTopic
    reason: Reason
    version: int


def find_orphans(
    store: Store, topics: Sequence[RetainedTopic], encoding: PublishedEncoding
) -> list[Orphan]:
    """Return those of the topics that belong to no twin in the store.

    The presence of a device that is online is none, though the device has reported nothing yet.

    Args:
        store: The store.
        topics: What is retained.
        encoding: In what states and deltas are published.

    Raises:
        StoreError: What the store raises.
    """
    rows = store.load(list({topic.key for topic in topics}))
    orphans = []
    for topic in topics:
        row = rows.get(topic.key)
        reason = _reason(topic, row, encoding)
        if reason is not None:
            orphans.append(Orphan(topic, reason, 0 if row is None else row.version))
    return orphans


def _reason(
    topic: RetainedTopic, row: StoredTwin | None, encoding: PublishedEncoding
) -> Reason | None:
    if topic.below in BESIDE_JSON and encoding != "both":
        return "encoding"
    if row is None:
        return "unknown"
    if row.exists:
        return None
    if topic.below == "presence" and decode_twin(row).online:
        return None
    return "deleted" if row.version else "unknown"
