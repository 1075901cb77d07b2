"""A fleet change in memory: what drives it, beside what the store has of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, cast

import orjson

from bridge.core.fleet_change import FleetChange, Status
from bridge.core.fleet_patch import is_reported, stands
from bridge.core.fleet_plan import FleetPlan, TargetState
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.store.fleet_changes import StoredFleetChange, TargetNote


class Standing(NamedTuple):
    """Where a change stands: what a command may change."""

    status: Status
    stage: int
    excused: int
    why: str


class FleetRecord:
    """One change that is at work.

    Args:
        row: What the store has of it.
        keys: Its twins, in its order.
        states: Their states.
        now: The time, on the clock that drives it, in s.

    Attributes:
        row: As the store has it.
        keys: As given.
        change: Decides.
        patch: The patch, for looking only: what is written is decoded anew.
        notes: What has become of devices and is not in the store yet.
        unread: Devices, by their positions, to be judged by what the store has of them.
        changed: Set when the store has something newer of it; another one afterwards.
        why: Why it stands still, or empty.
    """

    def __init__(
        self,
        row: StoredFleetChange,
        keys: Sequence[TwinKey],
        states: Sequence[TargetState],
        now: float,
    ) -> None:
        self.row = row
        self.keys = keys
        self.patch: JsonObject = orjson.loads(row.patch)
        self.why = row.why
        self.change = FleetChange(
            read_plan(row.plan),
            states,
            status=cast("Status", row.status),
            stage=row.stage,
            excused=row.excused,
            now=now,
        )
        if self.change.status == "halted" and not self.why:
            self.why = self.halting()  # The last process ended before it could say so.
        self.notes: list[TargetNote] = []
        self.unread: dict[int, None] = {}
        self.changed = asyncio.Event()

    @property
    def standing(self) -> Standing:
        """Where the change stands; set back where a command could not be kept."""
        change = self.change
        return Standing(change.status, change.stage, change.excused, self.why)

    @standing.setter
    def standing(self, standing: Standing) -> None:
        change = self.change
        change.status, change.stage, change.excused, self.why = standing

    def note(self, position: int, state: TargetState, why: str = "") -> None:
        """Keep in mind, for the store, what has become of a device."""
        self.notes.append(TargetNote(self.row.id, position, state, None, why))

    def judged(self, position: int, state: bytes, now: float) -> TargetState | None:
        """Judge a device in flight, or one that was late, by its twin as it is published.

        Returns:
            What it is now, where that is something else.
        """
        if self.change.states[position] not in ("in_flight", "timed_out"):
            return None
        verdict, why = _judge(state, self.patch)
        if verdict is None or not self.change.move(position, verdict, now):
            return None
        self.note(position, verdict, why)
        return verdict

    def halting(self) -> str:
        """Return why the present stage halts."""
        change = self.change
        size = sum(change.progress[change.stage].values())
        return (
            f"{change.failed} of {size} devices of stage {change.stage + 1} failed: it halts at "
            f"{change.plan.halt_at_percent:g} %"
        )

    def present(self, now_us: int) -> StoredFleetChange:
        """Return what the store is to have of it now."""
        change = self.change
        return self.row._replace(
            status=change.status,
            stage=change.stage,
            excused=change.excused,
            why=self.why,
            progress=orjson.dumps(change.progress),
            revision=self.row.revision + 1,
            changed_at=now_us,
        )

    def tell(self, row: StoredFleetChange) -> None:
        """Take over what the store has now, and tell who waits for that."""
        self.row = row
        self.notes.clear()
        self.changed.set()
        self.changed = asyncio.Event()


def _judge(state: bytes, patch: JsonObject) -> tuple[TargetState | None, str]:
    """Return what a device is by its twin, None where it stays what it is; and why, or empty."""
    if not state:
        return "overwritten", "the twin was deleted"
    try:
        document: object = orjson.loads(state)
    except orjson.JSONDecodeError as error:
        return "timed_out", f"the twin cannot be read from the store: {error}"
    members = document if isinstance(document, dict) else {}
    desired, reported = members.get("desired"), members.get("reported")
    if not isinstance(desired, dict) or not stands(desired, patch):
        return "overwritten", ""
    if isinstance(reported, dict) and is_reported(reported, patch):
        return "converged", ""
    return None, ""


def read_plan(plan: bytes) -> FleetPlan:
    """Return a plan as the store has it."""
    members = orjson.loads(plan)
    return FleetPlan(**{**members, "stages": tuple(members["stages"])})


def write_plan(plan: FleetPlan) -> bytes:
    """Return a plan as the store is to have it."""
    return orjson.dumps(plan._asdict())
