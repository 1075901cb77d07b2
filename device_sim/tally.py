"""Adds up what a run has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from device_sim.application import Application
from device_sim.check import twin_differences
from device_sim.device import SimulatedDevice
from device_sim.latency import Latencies
from device_sim.observer import Observer
from device_sim.summary import DIFFERENCES_SHOWN, Summary, TwinDifference

_REFUSALS_SHOWN = 10


def summarize(
    devices: Sequence[SimulatedDevice],
    observer: Observer,
    application: Application | None,
    found: Mapping[str, int],
    elapsed_s: float,
    *,
    seed: int,
    interrupted: bool,
) -> Summary:
    """Compare every twin with its device, and add everything up.

    Args:
        devices: Those that were switched on.
        observer: What was seen from outside.
        application: What was desired.
        found: The twins' versions before the run.
        elapsed_s: Since the first device was switched on.
        seed: Of the run.
        interrupted: It was stopped before its end.
    """
    found_differences = {
        device.id: list(twin_differences(device, observer.twins[device.id])) for device in devices
    }
    differences = [each for differing in found_differences.values() for each in differing]
    counts = [device.counts for device in devices]
    changes = application.counts if application else None
    return Summary(
        seed=seed,
        devices=len(devices),
        elapsed_s=elapsed_s,
        interrupted=interrupted,
        sent=sum(each.sent for each in counts),
        repeated=sum(each.repeated for each in counts),
        acknowledged=sum(each.acknowledged for each in counts),
        refused=sum(each.refused for each in counts),
        duplicates=sum(each.duplicates for each in counts),
        unanswered=sum(device.unanswered for device in devices),
        dropped=sum(each.dropped for each in counts),
        latency_count=observer.latencies.count,
        latency_p50_ms=_milliseconds(observer.latencies, 0.50),
        latency_p99_ms=_milliseconds(observer.latencies, 0.99),
        latency_max_ms=_milliseconds(observer.latencies, 1.0),
        versions=sum(
            max(observer.twins[device.id].version - found[device.id], 0) for device in devices
        ),
        went_back=sum(observer.twins[device.id].went_back for device in devices),
        desired_sent=changes.sent if changes else 0,
        desired_acknowledged=changes.acknowledged if changes else 0,
        desired_refused=changes.refused if changes else 0,
        desired_unanswered=application.unanswered if application else 0,
        desired_converged=_converged(application, differences),
        twins_equal=sum(not differing for differing in found_differences.values()),
        differences=tuple(differences[:DIFFERENCES_SHOWN]),
        differences_total=len(differences),
        refusals=_refusals(devices, application),
    )


def _milliseconds(latencies: Latencies, share: float) -> float | None:
    seconds = latencies.quantile_s(share)
    return None if seconds is None else round(seconds * 1000, 3)


def _converged(application: Application | None, differences: Sequence[TwinDifference]) -> int:
    if application is None:
        return 0
    unmet = {(each.device, each.path) for each in differences if each.section == "desired"}
    return sum(
        changes
        for (device, path), changes in application.set_fields.items()
        if (device, ".".join(path)) not in unmet
    )


def _refusals(
    devices: Sequence[SimulatedDevice], application: Application | None
) -> tuple[str, ...]:
    reasons = [f"{device.id}: {device.last_refusal}" for device in devices if device.last_refusal]
    if application is not None and application.last_refusal:
        reasons.append(f"desired: {application.last_refusal}")
    return tuple(reasons[:_REFUSALS_SHOWN])
