"""A twin's memory as bytes: registers, writers, tombstones, in msgpack.

The visible values are not in it: they stand in the state's JSON beside it, once. Bare registers
are packed as they are; a `Node` becomes an ext, so that the flat tree of an ordinary device is
packed without a line of Python per field.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack
import orjson

from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject, Node, Section
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.writers import BootRecord, Gap, Writer
from bridge.errors import StoreCorrupt
from bridge.store.base import StoredTwin

FORMAT: Final = 1
_NODE_EXT: Final = 1
_HORIZON_INDEX: Final = 2
_SECTION_INDEXES: Final = (6, 7)


def encode_internals(twin: Twin) -> bytes:
    """Encode all of a twin that its published state does not show."""
    packed: bytes = msgpack.packb(
        (
            FORMAT,
            twin.now,
            twin.horizon,
            twin.online,
            twin.last_seen,
            twin.boots,
            _section_row(twin.reported),
            _section_row(twin.desired),
            [(key, [_boot_row(boot) for boot in w.boots]) for key, w in twin.writers.items()],
            list(twin.refusals.items()),
            list(twin.retained.items()),
            twin.deliveries,
        ),
        default=_encode_node,
    )
    return packed


def decode_twin(stored: StoredTwin) -> Twin:
    """Build the twin again.

    Raises:
        StoreCorrupt: The bytes are not what `encode_internals` makes.
    """
    try:
        return _decode_twin(stored)
    except (ValueError, TypeError, KeyError, IndexError, msgpack.UnpackException) as error:
        raise StoreCorrupt(
            f"twin {str(stored.key)!r} cannot be read from the store: {error}",
            hint="run `syncbridge store check`, and restore a backup",
        ) from error


def _decode_twin(stored: StoredTwin) -> Twin:
    (
        found_format,
        now,
        horizon,
        online,
        last_seen,
        boots,
        reported,
        desired,
        writers,
        refusals,
        retained,
        deliveries,
    ) = _unpack(stored.internals)
    if found_format != FORMAT:
        raise ValueError(f"format {found_format} is unknown")
    twin = Twin(TwinKey(*stored.key))
    twin.version, twin.exists, twin.at = stored.version, stored.exists, stored.at
    twin.now, twin.horizon, twin.online = now, horizon, online
    twin.last_seen, twin.boots = last_seen, list(boots)
    state = orjson.loads(stored.state) if stored.exists else {}
    _load_section(twin.reported, reported, state.get("reported", {}))
    _load_section(twin.desired, desired, state.get("desired", {}))
    twin.writers = {tuple(key): _writer(rows) for key, rows in writers}
    twin.refusals = {tuple(key): Refusal(*refusal) for key, refusal in refusals}
    twin.retained = {tuple(key): digest for key, digest in retained}
    twin.deliveries = list(deliveries)
    twin.bytes_at_most = len(stored.state)
    twin.keys_at_most = stored.state.count(b":")
    return twin


def raise_horizon(internals: bytes, version: int) -> bytes:
    """Return the internals as a restore leaves them: whatever a reader has seen, it is outdated.

    The horizon and both sections' versions are raised to the given one, because a reader's version
    may be one that was made after the backup, and mean something else.
    """
    row = list(_unpack(internals))
    row[_HORIZON_INDEX] = max(row[_HORIZON_INDEX], version)
    for index in _SECTION_INDEXES:
        row[index] = (max(row[index][0], version), *row[index][1:])
    packed: bytes = msgpack.packb(row, default=_encode_node)
    return packed


def _section_row(section: Section) -> tuple[Any, ...]:
    return (section.version, section.root, section.nodes, list(section.tombstones.items()))


def _load_section(section: Section, row: tuple[Any, ...], value: JsonObject) -> None:
    section.version, section.root, section.nodes, tombstones = row
    section.value = value
    section.tombstones = {tuple(path): arrival for path, arrival in tombstones}


def _boot_row(boot: BootRecord) -> tuple[Any, ...]:
    return (
        boot.boot,
        boot.order,
        boot.highest,
        boot.highest_stamp,
        boot.lowest_stamp,
        boot.first_digest,
        boot.gaps,
    )


def _writer(rows: tuple[Any, ...]) -> Writer:
    boots = []
    for boot, order, highest, highest_stamp, lowest_stamp, first_digest, gaps in rows:
        open_gaps = [Gap(*gap) for gap in gaps]
        boots.append(
            BootRecord(boot, order, highest, highest_stamp, lowest_stamp, first_digest, open_gaps)
        )
    return Writer(boots)


def _encode_node(value: object) -> msgpack.ExtType:
    if not isinstance(value, Node):
        raise TypeError(f"{type(value).__name__} has no place in a twin")
    row = (value.register, value.is_value, value.marker, value.children)
    return msgpack.ExtType(_NODE_EXT, msgpack.packb(row, default=_encode_node))


def _decode_node(code: int, data: bytes) -> Node:
    if code != _NODE_EXT:
        raise ValueError(f"ext type {code} is unknown")
    return Node(*_unpack(data))


def _unpack(data: bytes) -> tuple[Any, ...]:
    row: tuple[Any, ...] = msgpack.unpackb(
        data, use_list=False, ext_hook=_decode_node, strict_map_key=True
    )
    return row
