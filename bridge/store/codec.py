"""A twin's memory as bytes: registers, writers, tombstones, in msgpack.

The visible values are not in it: they stand in the state's JSON beside it, once, and so do the
names of the fields. What one message has written is kept once, whatever number of fields it wrote
(`bridge.store.section_codec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgpack
import orjson

from bridge.core.cell import keep_cells_of
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.refusal import Refusal
from bridge.core.twin import Twin
from bridge.core.update import Boot
from bridge.core.writers import BootRecord, Gap, Writer
from bridge.errors import TwinCorrupt
from bridge.store import codec_1
from bridge.store.base import StoredTwin
from bridge.store.key_codec import KeyDecoder, KeyEncoder, Packed
from bridge.store.section_codec import SectionDecoder, SectionEncoder

FORMAT: Final = 2
_HORIZON_INDEX: Final = 2

# One for all: to make one takes as long as to use it.
_packer = msgpack.Packer()

_LENGTHS: Final = {codec_1.FORMAT: codec_1.LENGTH, FORMAT: 16}
_SECTION_INDEXES: Final = {codec_1.FORMAT: codec_1.SECTION_INDEXES, FORMAT: (9, 10)}


def encode_internals(twin: Twin) -> bytes:
    """Encode all of a twin that its published state does not show."""
    keys = KeyEncoder(twin.now, twin.version)
    sections = SectionEncoder(keys)
    reported = sections.section(twin.reported)
    desired = sections.section(twin.desired)
    registers = sections.registers()
    writers = [
        (
            section == "reported",
            keys.names[writer],
            [_boot_row(boot, twin.now) for boot in known.boots],
        )
        for (section, writer), known in twin.writers.items()
    ]
    packed: bytes = _packer.pack(
        (
            FORMAT,
            twin.now,
            twin.horizon,
            twin.version,
            twin.online,
            twin.now - twin.last_seen,
            twin.boots,
            list(keys.names),
            registers,
            reported,
            desired,
            writers,
            list(twin.refusals.items()),
            list(twin.retained.items()),
            twin.deliveries,
            twin.boots_begun,
        )
    )
    return packed


def decode_twin(stored: StoredTwin, policies: Policies = NO_POLICIES) -> Twin:
    """Build the twin again.

    Args:
        stored: Its row.
        policies: Which conflict policy holds where.

    Raises:
        TwinCorrupt: The bytes are not what `encode_internals` makes, or once made.
    """
    try:
        twin = Twin(stored.key, policies)
        twin.version, twin.exists, twin.at = stored.version, stored.exists, stored.at
        twin.bytes_at_most = len(stored.state)
        twin.keys_at_most = stored.state.count(b":")
        state = orjson.loads(stored.state) if stored.exists else {}
        row = _unpack(stored.internals)
        if row[0] == FORMAT:
            _fill(twin, row, state)
        else:
            codec_1.fill(twin, stored.internals, state)
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        StopIteration,
        msgpack.UnpackException,
    ) as error:
        raise TwinCorrupt(*stored.key, str(error)) from error
    return twin


def _fill(twin: Twin, row: Packed, state: dict[str, Any]) -> None:
    (
        _,
        twin.now,
        twin.horizon,
        version,
        twin.online,
        last_seen_age,
        twin.boots,
        names,
        registers,
        reported,
        desired,
        writers,
        refusals,
        retained,
        deliveries,
        twin.boots_begun,
    ) = row
    # Before it was one text of bytes it was a list, of digests that are not made any more.
    twin.deliveries = deliveries if isinstance(deliveries, bytes) else b""
    keys = KeyDecoder(twin.now, version, names, twin.key.device)
    twin.last_seen = keys.time(last_seen_age)
    twin.at = keys.times.get(twin.at, twin.at)
    sections = SectionDecoder(keys, registers)
    sections.fill(twin.reported, reported, state.get("reported", {}))
    sections.fill(twin.desired, desired, state.get("desired", {}))
    for section in (twin.reported, twin.desired):
        keep_cells_of(section.rules, section.nodes)
    known = {boot: boot for boot in twin.boots}  # so that both are one object
    twin.writers = {
        ("reported" if reports else "desired", keys.names[writer]): Writer(
            [_boot(packed, keys, known) for packed in boots]
        )
        for reports, writer, boots in writers
    }
    if refusals:
        twin.refusals = {tuple(key): Refusal(*refusal) for key, refusal in refusals}
    if retained:
        twin.retained = {tuple(key): digest for key, digest in retained}


def raise_horizon(internals: bytes, version: int) -> bytes:
    """Return the internals as a restore leaves them: whatever a reader has seen, it is outdated.

    The horizon and both sections' versions are raised to the given one, because a reader's version
    may be one that was made after the backup, and mean something else.

    Raises:
        ValueError: They cannot be read.
    """
    row = _unpack(internals)
    row[_HORIZON_INDEX] = max(row[_HORIZON_INDEX], version)
    for index in _SECTION_INDEXES[row[0]]:
        row[index][0] = max(row[index][0], version)
    packed: bytes = msgpack.packb(row)
    return packed


def _unpack(internals: bytes) -> Packed:
    try:
        row: Packed = msgpack.unpackb(internals, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"its memory is not msgpack: {error!r}") from error
    # Damaged bytes may be anything that msgpack knows.
    found_format = row[0] if isinstance(row, list) and row else None
    if not isinstance(found_format, int) or _LENGTHS.get(found_format) != len(row):
        raise ValueError(f"its memory has the unknown format {found_format!r:.20}")
    return row


def _boot_row(boot: BootRecord, now: int) -> tuple[Any, ...]:
    return (
        boot.boot,
        boot.order,
        boot.highest,
        now - boot.highest_stamp,
        now - boot.lowest_stamp,
        boot.first_digest,
        boot.gaps,
    )


def _boot(packed: Packed, keys: KeyDecoder, known: Mapping[Boot, Boot]) -> BootRecord:
    boot, order, highest, highest_age, lowest_age, first_digest, gaps = packed
    return BootRecord(
        known.get(boot, boot),
        order,
        highest,
        keys.time(highest_age),
        keys.time(lowest_age),
        first_digest,
        tuple(Gap(*gap) for gap in gaps) if gaps else (),
    )
