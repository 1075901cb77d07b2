"""Which devices of a fleet something happens to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from device_sim.faults import chance
from device_sim.kinds import Kind


class Member(NamedTuple):
    """What a device is chosen by.

    Attributes:
        kind: Its kind's name.
        district: From 1.
        draw: From 0 to below 1, by the seed.
    """

    kind: str
    district: int
    draw: float


@dataclass(frozen=True, slots=True)
class Selection:
    """Some devices.

    Attributes:
        kind: Only of this kind; empty for any.
        district: Only in this district; 0 for any.
        share: Of those. A smaller share is always a part of a larger one, so that a roll-out can
            begin with few and go on with more.
    """

    kind: str = ""
    district: int = 0
    share: float = 1.0

    def takes(self, member: Member) -> bool:
        """Tell whether a device is among them."""
        return (
            self.kind in ("", member.kind)
            and self.district in (0, member.district)
            and member.draw < self.share
        )

    def paced(
        self, members: Mapping[str, Member], begins_s: float, ramp_hz: float | None
    ) -> Iterator[tuple[float, str]]:
        """Yield each device with its time: so many a second, or all at once."""
        taken = (device for device, member in members.items() if self.takes(member))
        for number, device in enumerate(taken):
            yield begins_s + (number / ramp_hz if ramp_hz else 0.0), device


def members_of(fleet: Mapping[str, Kind], districts: int, seed: int) -> dict[str, Member]:
    """Deal a fleet into districts, by the seed."""
    return {
        device: Member(
            kind.name,
            1 + int(chance(seed, device, "district") * districts),
            chance(seed, device, "selection"),
        )
        for device, kind in fleet.items()
    }
