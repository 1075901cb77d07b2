"""What arrives, decoded: an update of one section, with its metadata (design section 3, `$`)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey

Boot: TypeAlias = str | int
SectionName: TypeAlias = Literal["reported", "desired"]

SECTIONS: Final[tuple[SectionName, ...]] = get_args(SectionName)


class Metadata(NamedTuple):
    """The members of `$`. Absent ones are None (`full`: False).

    Attributes:
        request_id: Asks for a reply.
        boot: The writer's boot; 0 where only `seq` was given.
        seq: Number of the message in that boot, from 1.
        seen: Version of the twin that the writer acted on.
        time: The writer's clock, in µs since the epoch.
        if_version: Apply only if the section has not changed since this version.
        full: The patch is the whole section.
    """

    request_id: str | None = None
    boot: Boot | None = None
    seq: int | None = None
    seen: int | None = None
    time: int | None = None
    if_version: int | None = None
    full: bool = False


NO_METADATA = Metadata()


class Delivery(NamedTuple):
    """How the broker delivered a message.

    Attributes:
        packet_id: MQTT's packet identifier, the same when it is delivered again; 0 at QoS 0.
        repeated: It came flagged DUP: it may have been processed already.
        retained: It came flagged RETAIN.
    """

    packet_id: int = 0
    repeated: bool = False
    retained: bool = False


FRESH = Delivery()


class Update(NamedTuple):
    """One update of one section. A tuple, because there is one for every message.

    Attributes:
        key: The twin.
        section: The section that its topic stands for.
        writer: Who wrote it, as the topic says.
        patch: A JSON merge patch without `$`.
        metadata: What stood in `$`.
        payload: The bytes as they arrived: repeats are told by them.
        delivery: How they arrived.
        size_bytes: Their length without wrappers.
        refusal: Why it must be refused although its metadata could be read, or None.
        boot_is_known: Its boot, which was sealed, is taken to have been received before: where the
            twin does not remember it, it is closed, and begins nothing.
    """

    key: TwinKey
    section: SectionName
    writer: str
    patch: JsonObject
    metadata: Metadata
    payload: bytes
    delivery: Delivery = FRESH
    size_bytes: int = 0
    refusal: Refusal | None = None
    boot_is_known: bool = False


class Presence(NamedTuple):
    """A device's presence: online or not, and which boot says so (None if it does not say)."""

    online: bool
    boot: Boot | None = None
