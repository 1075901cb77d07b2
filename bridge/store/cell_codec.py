"""What a policy keeps of a path, as small numbers (format 2 of `bridge.store.codec`)."""

from __future__ import annotations

from bridge.core.cell import Cell, Contributor, Entry, Seen
from bridge.store.key_codec import KeyDecoder, KeyEncoder, Packed


def encode_cell(cell: Cell, keys: KeyEncoder) -> Packed:
    """Return a cell as a list."""
    return [
        cell.policy,
        None if cell.reset is None else keys.key(cell.reset),
        [
            [_contributor(contributor, keys), *(_entry(entry, keys) for entry in held)]
            for contributor, held in cell.entries.items()
        ],
        [
            [kind, *([*keys.key(step[:4]), keys.version - step[4]] for step in steps)]
            for kind, steps in cell.seen.items()
        ],
    ]


def decode_cell(packed: Packed, keys: KeyDecoder) -> Cell:
    """Return the cell again."""
    policy, reset, entries, seen = packed
    return Cell(
        policy,
        None if reset is None else keys.key(*reset),
        {
            _read_contributor(contributor, keys): [_read_entry(entry, keys) for entry in held]
            for contributor, *held in entries
        },
        {kind: [_read_seen(step, keys) for step in steps] for kind, *steps in seen},
    )


def _contributor(contributor: Contributor, keys: KeyEncoder) -> str | Packed:
    if isinstance(contributor, str):
        return contributor
    writer, boot = contributor
    return [keys.names[writer], boot]


def _read_contributor(packed: str | Packed, keys: KeyDecoder) -> Contributor:
    if isinstance(packed, str):
        return packed
    writer, boot = packed
    return (keys.names[writer], boot)


def _entry(entry: Entry, keys: KeyEncoder) -> Packed:
    return [*keys.key(entry[:4]), keys.version - entry[4], entry[5]]


def _read_entry(packed: Packed, keys: KeyDecoder) -> Entry:
    *key, versions_ago, value = packed
    return (*keys.key(*key), keys.version - versions_ago, value)


def _read_seen(packed: Packed, keys: KeyDecoder) -> Seen:
    *key, versions_ago = packed
    return (*keys.key(*key), keys.version - versions_ago)
