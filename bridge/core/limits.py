"""The bounds on what one update and one twin may be (design section 7)."""

from __future__ import annotations

from dataclasses import dataclass

KIBIBYTE = 1024

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1
"""Integers are within 64 bits signed: what C, SQLite, PostgreSQL and msgpack all hold."""

REQUEST_ID_LENGTH = 64
"""Characters of `$.id`: it is echoed in every reply."""

BOOT_BYTES = 64
"""UTF-8 bytes of `$.boot`: eight of them are kept for each writer."""

BOOTS_PER_WRITER = 8
"""Boots remembered for each writer: a message older than that is from another age."""

GAPS_PER_BOOT = 16
"""Open gaps remembered in one boot: a device keeps fewer messages than that in flight."""

SEEN_STEPS = 16
"""What a class of writers had seen, remembered for each path with the policy `device` or `app`: one
is the rule, more only where a writer that had seen less wrote later."""

CONFLICTS_PER_UPDATE = 100
"""Losers that one update is told of: as many as a twin keeps by default."""

CONTRIBUTIONS_PER_CELL = 256
"""Entries of one path whose policy is an aggregate: writers and their boots, or elements."""

WRITERS_PER_TWIN = 32
"""Writers whose `seq` is remembered; the least recent is forgotten first."""

REFUSALS_PER_TWIN = 16
"""Refusals remembered, so that a repeat is refused alike."""

DELIVERIES_PER_TWIN = 16
"""Deliveries of messages without `seq` remembered, so that the broker may repeat them: more of
one twin are seldom between their commit and their acknowledgement."""

RETAINED_DIGESTS_PER_TWIN = 32
"""Topics of which the last retained message is remembered: one for each writer."""

TOMBSTONES_PER_TWIN = 4096
"""Removals remembered; beyond that the oldest go first."""

TIME_MAX = 2**53 - 1
"""Largest time, in µs: what a double, and so every JSON reader, holds exactly."""

YEAR_2020 = 1_577_836_800_000_000
"""Start of 2020 in µs since the epoch: a clock that says less was never set."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that an operator may change.

    Attributes:
        payload_bytes: One payload, as it arrives and after every wrapper is taken off. Bounds the
            memory that one message can take.
        twin_bytes: One twin, as the JSON on `state`. Every reader of the topic must hold it.
        depth: Nesting of objects and arrays in a patch. Small parsers recurse.
        keys: Fields in both sections of a twin together.
        key_bytes: One key, as UTF-8.
        named_twins: Named twins per device.
        tombstone_ttl_us: How long a removal is remembered, in µs: longer than a device is
            normally away.
    """

    payload_bytes: int = 256 * KIBIBYTE
    twin_bytes: int = 64 * KIBIBYTE
    depth: int = 16
    keys: int = 4096
    key_bytes: int = 256
    named_twins: int = 32
    tombstone_ttl_us: int = 7 * 86_400 * 1_000_000
