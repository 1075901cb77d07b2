"""Rows of a store, and what is remembered of writers, as the JSON of answers."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from bridge.core.twin import Twin
from bridge.core.update import SectionName
from bridge.core.writers import BootRecord
from bridge.store.base import ConflictRow, HistoryRow


def change(row: HistoryRow) -> Mapping[str, object]:
    """Describe a change."""
    return {
        "version": row.version,
        "at": row.at,
        "stamp": row.stamp,
        "writer": row.writer,
        "section": row.section,
        "patch": orjson.Fragment(row.patch),
        "previous": orjson.Fragment(row.previous),
    }


def conflict(row_id: int, row: ConflictRow) -> Mapping[str, object]:
    """Describe an entry of the conflict log; its id is for the next page."""
    return {
        "id": row_id,
        "device": row.key.device,
        "name": row.key.name,
        "version": row.version,
        "at": row.at,
        "section": row.section,
        "path": orjson.Fragment(row.path),
        "policy": row.policy,
        "kept": orjson.Fragment(row.kept),
        "kept_by": row.kept_by,
        "kept_stamp": row.kept_stamp,
        "lost": orjson.Fragment(row.lost),
        "lost_by": row.lost_by,
        "lost_stamp": row.lost_stamp,
    }


def writers(twin: Twin) -> list[Mapping[str, object]]:
    """Describe the writers that number their messages, the most recent first."""
    return [
        _writer(section, name, writer.boots)
        for (section, name), writer in reversed(twin.writers.items())
    ]


def _writer(section: SectionName, name: str, boots: list[BootRecord]) -> Mapping[str, object]:
    return {"section": section, "writer": name, "boots": [_boot(boot) for boot in reversed(boots)]}


def _boot(boot: BootRecord) -> Mapping[str, object]:
    return {
        "boot": boot.boot,
        "seq": boot.highest,
        "stamp": boot.highest_stamp,
        "missing": [[gap.first, gap.last] for gap in boot.gaps],
    }
