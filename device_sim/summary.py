"""What a run has shown: counts, latencies, and every twin held against its device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.device import JsonObject, JsonValue
from device_sim.document import Missing
from device_sim.series import Sample

DIFFERENCES_SHOWN = 100
"""Differences listed in a summary; further ones are counted."""


class TwinDifference(NamedTuple):
    """One place where a twin is not as it should be.

    Attributes:
        device: Whose twin.
        section: `reported`, where it is not what the device believes; `desired`, where the device
            has not obeyed.
        path: The field, with dots; empty for the whole section.
        expected: What the device believes, or what is desired.
        actual: What the twin's `reported` has.
    """

    device: str
    section: str
    path: str
    expected: JsonValue | Missing
    actual: JsonValue | Missing

    def to_json(self) -> JsonObject:
        """Return it for programs; what is missing has no key."""
        document: JsonObject = {
            "device": self.device,
            "section": self.section,
            "path": self.path,
        }
        if not isinstance(self.expected, Missing):
            document["expected"] = self.expected
        if not isinstance(self.actual, Missing):
            document["actual"] = self.actual
        return document


@dataclass(frozen=True, slots=True)
class Summary:
    """A run.

    Attributes:
        seed: Of the run.
        devices: Switched on.
        elapsed_s: From the first device's start to the last comparison.
        interrupted: The run was stopped before its end.
        sent: Different reports published.
        repeated: Publishes of a report that had been published before.
        acknowledged: Reports answered with ok.
        refused: Reports answered otherwise.
        duplicates: Of the acknowledged, those that the bridge had already.
        unanswered: Reports that had no answer at the end.
        dropped: Reports that found no room in a device's outbox.
        latency_count: Reports whose state was seen.
        latency_p50_ms: Median of publish to state; None without any.
        latency_p99_ms: 99th percentile.
        latency_max_ms: Longest.
        versions: By how many versions the twins have grown.
        went_back: Retained states that arrived after a newer one.
        desired_sent: Desired changes published.
        desired_acknowledged: Answered with ok.
        desired_refused: Answered otherwise.
        desired_unanswered: Without an answer at the end.
        desired_converged: Of the acknowledged, those whose field is as desired at the end, by
            this change or a later one.
        twins_equal: Devices whose twin is what they believe.
        differences: Where twins differ, at most `DIFFERENCES_SHOWN`.
        differences_total: How many there are.
        refusals: Reasons of refusals, one for each device at most, at most ten.
        superseded: Acknowledged reports of which nothing took effect.
        forgotten: Reports that were unanswered when their device lost its memory.
        connects: Connections of devices, each new one counts.
        deltas: Deltas that arrived at devices and asked for something.
        obeyed: Reports of devices in answer to a delta.
        convergence_count: Times that a twin lacked something of what is desired and then did not.
        convergence_p50_ms: How long that took, median; None without any.
        convergence_p99_ms: 99th percentile.
        convergence_max_ms: Longest.
        faults: Injected, by kind.
        errors: Failed attempts to connect by reason, and other troubles of the network.
        excused: Devices whose twins are not compared, with why.
        scenario: Its name; empty for none.
        samples: How it went.
        resident_mib: Memory of the process when all devices were there.
        device_kib: How much of that each device has added.
        connections_allowed: How many the limit of open files allows at a time.
    """

    seed: int
    devices: int
    elapsed_s: float
    interrupted: bool
    sent: int
    repeated: int
    acknowledged: int
    refused: int
    duplicates: int
    unanswered: int
    dropped: int
    latency_count: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    latency_max_ms: float | None
    versions: int
    went_back: int
    desired_sent: int
    desired_acknowledged: int
    desired_refused: int
    desired_unanswered: int
    desired_converged: int
    twins_equal: int
    differences: tuple[TwinDifference, ...]
    differences_total: int
    refusals: tuple[str, ...]
    superseded: int = 0
    forgotten: int = 0
    connects: int = 0
    deltas: int = 0
    obeyed: int = 0
    convergence_count: int = 0
    convergence_p50_ms: float | None = None
    convergence_p99_ms: float | None = None
    convergence_max_ms: float | None = None
    faults: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    scenario: str = ""
    samples: tuple[Sample, ...] = ()
    resident_mib: float = 0.0
    device_kib: float = 0.0
    connections_allowed: int = 0

    @property
    def compared(self) -> int:
        """Devices whose twins are compared."""
        return self.devices - len(self.excused)

    @property
    def ok(self) -> bool:
        """Every twin is what its device believes, everything was answered, nothing went back."""
        return not (
            self.differences_total or self.unanswered or self.desired_unanswered or self.went_back
        )

    def to_json(self) -> JsonObject:
        """Return the summary for programs. The keys are stable; new ones may come."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "devices": self.devices,
            "elapsed_s": round(self.elapsed_s, 3),
            "interrupted": self.interrupted,
            "scenario": self.scenario,
            "connections": {"made": self.connects, "allowed": self.connections_allowed},
            "reports": {
                "sent": self.sent,
                "repeated": self.repeated,
                "acknowledged": self.acknowledged,
                "refused": self.refused,
                "duplicates": self.duplicates,
                "unanswered": self.unanswered,
                "dropped": self.dropped,
                "superseded": self.superseded,
                "forgotten": self.forgotten,
            },
            "latency_ms": {
                "count": self.latency_count,
                "p50": self.latency_p50_ms,
                "p99": self.latency_p99_ms,
                "max": self.latency_max_ms,
            },
            "deltas": {"received": self.deltas, "obeyed": self.obeyed},
            "convergence_ms": {
                "count": self.convergence_count,
                "p50": self.convergence_p50_ms,
                "p99": self.convergence_p99_ms,
                "max": self.convergence_max_ms,
            },
            "memory": {"resident_mib": self.resident_mib, "device_kib": self.device_kib},
            "faults": dict(self.faults),
            "errors": dict(self.errors),
            "versions": self.versions,
            "went_back": self.went_back,
            "desired": {
                "sent": self.desired_sent,
                "acknowledged": self.desired_acknowledged,
                "refused": self.desired_refused,
                "unanswered": self.desired_unanswered,
                "converged": self.desired_converged,
            },
            "twins": {
                "compared": self.compared,
                "equal": self.twins_equal,
                "differing": self.compared - self.twins_equal,
                "excused": dict(self.excused),
            },
            "differences": [difference.to_json() for difference in self.differences],
            "differences_total": self.differences_total,
            "refusals": list(self.refusals),
            "samples": [sample.to_json() for sample in self.samples],
        }
