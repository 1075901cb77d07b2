"""Format 1 of a twin's memory, which the first release wrote: it is only read.

Registers stand in full in msgpack; what is more than a live value is an ext with a row of its own.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject, Node, Section
from bridge.core.twin import Twin
from bridge.core.writers import BootRecord, Gap, Writer

FORMAT: Final = 1
LENGTH: Final = 12
"""Members of a row."""

SECTION_INDEXES: Final = (6, 7)
"""Where the sections stand in a row; each begins with its version."""

_NODE_EXT: Final = 1


def fill(twin: Twin, internals: bytes, state: dict[str, Any]) -> None:
    """Give a twin its memory.

    Args:
        twin: With its version and what else stands in its row.
        internals: What format 1 holds.
        state: The published state; empty where it does not exist.
    """
    (
        _,
        twin.now,
        twin.horizon,
        twin.online,
        twin.last_seen,
        boots,
        reported,
        desired,
        writers,
        refusals,
        retained,
        _deliveries,  # Digests that are not made any more.
    ) = _unpack(internals)
    twin.boots = list(boots)
    _fill_section(twin.reported, reported, state.get("reported", {}))
    _fill_section(twin.desired, desired, state.get("desired", {}))
    twin.writers = {tuple(key): _writer(rows) for key, rows in writers}
    orders = (boot.order for writer in twin.writers.values() for boot in writer.boots)
    twin.boots_begun = max(orders, default=0)
    for key, refusal in refusals:
        twin.remember_refusal(key, Refusal(*refusal))
    for key, digest in retained:
        twin.remember_retained(key, digest)


def _fill_section(section: Section, row: tuple[Any, ...], value: JsonObject) -> None:
    section.version, section.root, section.nodes, tombstones = row
    section.value = value
    for path, arrival in tombstones:
        section.bury(path, arrival)


def _writer(rows: tuple[Any, ...]) -> Writer:
    boots = []
    for boot, order, highest, highest_stamp, lowest_stamp, first_digest, gaps in rows:
        open_gaps = tuple(Gap(*gap) for gap in gaps)
        boots.append(
            BootRecord(boot, order, highest, highest_stamp, lowest_stamp, first_digest, open_gaps)
        )
    return Writer(boots)


def _read_node(code: int, data: bytes) -> Node:
    if code != _NODE_EXT:
        raise ValueError(f"ext type {code} is unknown")
    return Node(*_unpack(data))


def _unpack(data: bytes) -> tuple[Any, ...]:
    row: tuple[Any, ...] = msgpack.unpackb(
        data, use_list=False, ext_hook=_read_node, strict_map_key=True
    )
    return row
