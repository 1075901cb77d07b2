"""The chart of a run: throughput of every peer, under every workload that has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Final

from benchmarks.chart import Bar, BarGroup, bar_chart
from benchmarks.peers import BRIDGE
from benchmarks.plan import Plan
from benchmarks.rows import Runs

_LABELS: Final = {
    BRIDGE: "syncbridge",
    "echo": "echo, no storing",
}

_TITLES: Final = {
    "saturated": "Saturated, {devices:,} devices",
    "many": "Saturated, {many_devices:,} devices",
    "closed": "Closed loop, {outstanding:,} outstanding",
    "million": "{twins:,} twins in the store",
    "large": "4 KiB twins",
}


def result_chart(plan: Plan, runs: Runs, machine: Mapping[str, str]) -> str:
    """Return the chart as SVG."""
    groups = []
    for workload, title in _TITLES.items():
        bars = []
        for (peer, measured), rounds in runs.items():
            values = [f["updates_per_s"] for f in rounds if "updates_per_s" in f]
            if measured == workload and values:
                label = _LABELS.get(peer, peer)
                bars.append(Bar(label, median(values), marked=peer == BRIDGE))
        if bars:
            bars.sort(key=lambda bar: bar.value, reverse=True)
            groups.append(BarGroup(title.format_map(asdict(plan)), bars))
    note = f"{machine['processor']}; Mosquitto {machine['Mosquitto']}, Python {machine['Python']}"
    return bar_chart("Updates per second, QoS 1 in, retained QoS 1 out", groups, note)
