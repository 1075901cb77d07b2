"""Settings about devices that are not heard: what is missing of them, and who is silent."""

from __future__ import annotations

from pydantic import Field

from bridge.config_section import Section


class ResyncConfig(Section):
    """Asking devices for a full report, where something of them is missing."""

    gap_timeout_s: float = Field(
        default=10.0,
        ge=0.05,
        le=86_400.0,
        description="How long a number that is missing among a device's reports is waited for "
        "before the device is asked. Also how long devices have to come back, before all of them "
        "are asked because the broker has lost the bridge's session.",
    )
    interval_s: float = Field(
        default=60.0,
        ge=0.05,
        le=86_400.0,
        description="Shortest time between two questions to one twin. It doubles, up to a day, "
        "while the device does not answer.",
    )
    per_s: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Questions a second to all devices together: each is answered by a full "
        "report.",
    )


class PresenceConfig(Section):
    """Whether devices are online."""

    offline_after_s: float = Field(
        default=0.0,
        ge=0.0,
        le=3650 * 86_400.0,
        description="A device that reports is online, and offline after so long without a report; "
        "for devices without a last will. Who says on its presence topic that it is online is left "
        "to its will. 0: only presence counts.",
    )
