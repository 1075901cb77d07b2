"""Conflicts: what a concurrent write has lost, kept for who wants to know (design section 4)."""

from __future__ import annotations

from typing import NamedTuple

from bridge.core.policy import PolicyName
from bridge.core.section import JsonValue, Path, same


class Conflict(NamedTuple):
    """Two writers wrote one path, and neither had seen the other's write. None is a removal.

    Attributes:
        path: Where, below the section.
        policy: What decided.
        kept: What stands there now, as far as this path is concerned.
        kept_by: Who wrote that.
        kept_stamp: Its stamp, in µs.
        lost: What does not stand there.
        lost_by: Who wrote that.
        lost_stamp: Its stamp, in µs.
    """

    path: Path
    policy: PolicyName
    kept: JsonValue
    kept_by: str
    kept_stamp: int
    lost: JsonValue
    lost_by: str
    lost_stamp: int


def differs(current: JsonValue, new: JsonValue) -> bool:
    """Tell whether what is visible at a path (None: nothing) is not what a write there wanted."""
    if new == {} and isinstance(new, dict):
        return not isinstance(current, dict)
    return not same(current, new)
