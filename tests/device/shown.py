"""What the bridge makes of reports that came in order."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Metadata, Update
from bridge.device import JsonObject

Said = tuple[JsonObject, bool]
"""A patch, and whether it is full."""


def shown(said: Sequence[Said]) -> JsonObject:
    """Return what the bridge shows of these reports of one device."""
    twin = Twin(TwinKey("lamp-1"))
    for seq, (patch, full) in enumerate(said, 1):
        update = Update(
            key=twin.key,
            section="reported",
            writer="lamp-1",
            patch=copy.deepcopy(patch),
            metadata=Metadata(boot="b", seq=seq, full=full),
            payload=b"%d" % seq,
        )
        assert reconcile(twin, update, 1_800_000_000_000_000 + seq, Limits()).refusal is None
    return copy.deepcopy(twin.reported.value)
