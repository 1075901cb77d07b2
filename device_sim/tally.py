"""Adds up what a run has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from device_sim.application import Application
from device_sim.check import twin_differences
from device_sim.device import SimulatedDevice
from device_sim.latency import Latencies
from device_sim.observer import Observer
from device_sim.process import connections_allowed, file_limit
from device_sim.series import Sample
from device_sim.summary import DIFFERENCES_SHOWN, Summary, TwinDifference

_REFUSALS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a run was, beside its devices.

    Attributes:
        seed: Of the run.
        elapsed_s: Since the first device was switched on.
        interrupted: It was stopped before its end.
        found: The twins' versions before the run.
        excused: Devices whose twins are not compared, with why.
        contrary: Devices that obey nothing.
        connects: Connections of each device.
        faults: Injected, by kind.
        errors: Failed attempts to connect, by reason.
        scenario: Its name; empty for none.
        samples: How it went.
        resident_bytes: Memory of the process when all devices were there.
        resident_before_bytes: Memory of the process before there was any.
    """

    seed: int
    elapsed_s: float
    interrupted: bool
    found: Mapping[str, int]
    excused: Mapping[str, str] = field(default_factory=dict)
    contrary: frozenset[str] = frozenset()
    connects: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    scenario: str = ""
    samples: tuple[Sample, ...] = ()
    resident_bytes: int = 0
    resident_before_bytes: int = 0


def summarize(
    devices: Sequence[SimulatedDevice],
    observer: Observer,
    application: Application | None,
    run: Circumstances,
) -> Summary:
    """Compare every twin with its device, and add everything up.

    Args:
        devices: Those that were switched on.
        observer: What was seen from outside.
        application: What was desired.
        run: What the run was.
    """
    found_differences = {
        device.id: list(
            twin_differences(
                device, observer.twins[device.id], is_contrary=device.id in run.contrary
            )
        )
        for device in devices
        if device.id not in run.excused
    }
    differences = [each for differing in found_differences.values() for each in differing]
    counts = [device.counts for device in devices]
    changes = application.counts if application else None
    return Summary(
        seed=run.seed,
        devices=len(devices),
        elapsed_s=run.elapsed_s,
        interrupted=run.interrupted,
        sent=sum(each.sent for each in counts),
        repeated=sum(each.repeated for each in counts),
        acknowledged=sum(each.acknowledged for each in counts),
        refused=sum(each.refused for each in counts),
        duplicates=sum(each.duplicates for each in counts),
        unanswered=sum(device.unanswered for device in devices if device.id not in run.excused),
        dropped=sum(each.dropped for each in counts),
        latency_count=observer.latencies.count,
        latency_p50_ms=_milliseconds(observer.latencies, 0.50),
        latency_p99_ms=_milliseconds(observer.latencies, 0.99),
        latency_max_ms=_milliseconds(observer.latencies, 1.0),
        versions=sum(
            max(observer.twins[device.id].version - run.found[device.id], 0) for device in devices
        ),
        went_back=sum(observer.twins[device.id].went_back for device in devices),
        desired_sent=changes.sent if changes else 0,
        desired_acknowledged=changes.acknowledged if changes else 0,
        desired_refused=changes.refused if changes else 0,
        desired_unanswered=application.unanswered if application else 0,
        desired_converged=_converged(application, differences, run),
        twins_equal=sum(not differing for differing in found_differences.values()),
        differences=tuple(differences[:DIFFERENCES_SHOWN]),
        differences_total=len(differences),
        refusals=_refusals(devices, application),
        superseded=sum(each.superseded for each in counts),
        forgotten=sum(each.forgotten for each in counts),
        connects=sum(run.connects.values()),
        deltas=sum(each.deltas for each in counts),
        obeyed=sum(each.obeyed for each in counts),
        convergence_count=observer.convergences.count,
        convergence_p50_ms=_milliseconds(observer.convergences, 0.50),
        convergence_p99_ms=_milliseconds(observer.convergences, 0.99),
        convergence_max_ms=_milliseconds(observer.convergences, 1.0),
        faults=dict(sorted(run.faults.items())),
        errors=dict(sorted(run.errors.items())),
        excused=run.excused,
        scenario=run.scenario,
        samples=run.samples,
        connections_allowed=connections_allowed(file_limit()),
        resident_mib=round(run.resident_bytes / 2**20, 1),
        device_kib=round(
            (run.resident_bytes - run.resident_before_bytes) / 1024 / max(len(devices), 1), 1
        ),
    )


def _milliseconds(latencies: Latencies, share: float) -> float | None:
    seconds = latencies.quantile_s(share)
    return None if seconds is None else round(seconds * 1000, 3)


def _converged(
    application: Application | None, differences: Sequence[TwinDifference], run: Circumstances
) -> int:
    if application is None:
        return 0
    unmet = {(each.device, each.path) for each in differences if each.section == "desired"}
    return sum(
        changes
        for (device, path), changes in application.set_fields.items()
        if (device, ".".join(path)) not in unmet
        and device not in run.excused
        and device not in run.contrary
    )


def _refusals(
    devices: Sequence[SimulatedDevice], application: Application | None
) -> tuple[str, ...]:
    reasons = [f"{device.id}: {device.last_refusal}" for device in devices if device.last_refusal]
    if application is not None and application.last_refusal:
        reasons.append(f"desired: {application.last_refusal}")
    return tuple(reasons[:_REFUSALS_SHOWN])
