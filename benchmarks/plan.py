"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of all workloads.

    Attributes:
        rounds: How often each workload is measured; the median counts.
        connections: On how many connections the devices report, at most.
        devices: Of the small fleet.
        many_devices: Of the large one.
        twins: In the store where that is large.
        turns: Updates of each device of the small fleet in a blast.
        slow_turns: The same for the bridge that commits each message.
        many_turns: Updates of each device of the large fleet.
        closed_turns: Updates of each device in the closed loop.
        outstanding: Updates on their way in the closed loop.
        rate_per_s: Rate at which latency is measured.
        latency_s: For how many seconds.
        slice_twins: Twins of the large store that are updated in one blast.
        soak_s: How long memory is watched.
        settle_s: How long the bridge is left alone before it counts as idle.
        idle_s: How long it is then watched.
    """

    rounds: int = 3
    connections: int = 8
    devices: int = 200
    many_devices: int = 10_000
    twins: int = 1_000_000
    turns: int = 600
    slow_turns: int = 60
    many_turns: int = 10
    closed_turns: int = 200
    outstanding: int = 500
    rate_per_s: int = 500
    latency_s: int = 10
    slice_twins: int = 50_000
    soak_s: int = 60
    settle_s: float = 3.0
    idle_s: float = 20.0


QUICK: Final = Plan(
    rounds=1,
    devices=10,
    many_devices=100,
    twins=2000,
    turns=20,
    slow_turns=5,
    many_turns=3,
    closed_turns=20,
    outstanding=20,
    latency_s=1,
    slice_twins=500,
    soak_s=2,
    settle_s=0.2,
    idle_s=0.5,
)
"""Shows that everything works; its figures mean nothing."""
