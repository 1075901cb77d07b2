"""Durable updates a second, CPU time per update and latency, next to an echo in the same run.

Every run has a fresh Mosquitto and a fresh peer, on loopback; the peers take turns, and the median
of the rounds counts. QoS 1 in, retained QoS 1 out; the load checks what comes out.

    python -m benchmarks.throughput --rounds 3 --json results.json
    python -m benchmarks.throughput --profile
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.blast import FIRST_NUMBER, PAYLOAD_BYTES
from benchmarks.phases import Bench, as_figures
from benchmarks.processes import ChildProcess, bridge_process
from benchmarks.profiled_bridge import print_profiles
from benchmarks.report import save_json
from benchmarks.watcher import Watcher
from tests.support.mosquitto import Mosquitto

PREFIX: Final = "sync"
PEERS: Final = ("echo", "bridge")
START_TIMEOUT_S: Final = 60.0

BROKER_SETTINGS: Final = "max_inflight_messages 1000\npersistence false"
"""Beside what `Mosquitto` sets: TCP_NODELAY, and a queue that holds the whole blast."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        devices: How many devices take turns.
        connections: On how many connections.
        updates: In the blast; the closed loop has a third of it.
        outstanding: Updates on their way in the closed loop.
        rate_per_s: Rate at which latency is measured.
        latency_s: For how many seconds.
        rounds: Of all peers.
    """

    devices: int = 200
    connections: int = 8
    updates: int = 60_000
    outstanding: int = 500
    rate_per_s: int = 500
    latency_s: float = 5.0
    rounds: int = 3


def peer_process(name: str, port: int, directory: Path, profile_to: Path | None) -> ChildProcess:
    """Return a peer, not yet started."""
    if name == "bridge":
        return bridge_process(port, PREFIX, directory, profile_to=profile_to)
    return ChildProcess(
        ["benchmarks.echo_paho", "--port", str(port), "--prefix", PREFIX], directory
    )


async def measure(
    peer: str, plan: Plan, directory: Path, *, profile_to: Path | None = None
) -> tuple[dict[str, Figures], list[str]]:
    """Measure one peer once, on a broker of its own.

    Returns:
        Phase -> figures, and what was wrong with the states, one line each.
    """
    watcher = Watcher(PREFIX, is_twin=peer == "bridge")
    with Mosquitto(directory / "broker", extra=BROKER_SETTINGS) as broker:
        await watcher.connect(broker.port)
        async with peer_process(peer, broker.port, directory / peer, profile_to) as process:
            await process.while_running(watcher.wait_for_peer(START_TIMEOUT_S))
            bench = Bench(
                broker.port,
                broker.pid,
                process.pid,
                PREFIX,
                [f"device-{index:04}" for index in range(plan.devices)],
                plan.connections,
                watcher,
                FIRST_NUMBER,
            )
            phases = await process.while_running(run_phases(bench, plan))
        await watcher.close()
    return phases, watcher.faults


async def run_phases(bench: Bench, plan: Plan) -> dict[str, Figures]:
    """Run all phases; returns phase -> figures."""
    return {
        "blast": as_figures(await bench.blast(plan.updates)),
        "closed_loop": as_figures(await bench.closed_loop(plan.updates // 3, plan.outstanding)),
        "latency": as_figures(
            await bench.latency(int(plan.rate_per_s * plan.latency_s), plan.rate_per_s)
        ),
    }


async def measure_all(
    plan: Plan, directory: Path
) -> tuple[dict[str, list[dict[str, Figures]]], list[str]]:
    """Measure all peers in turns; returns peer -> runs, and what was wrong."""
    runs: dict[str, list[dict[str, Figures]]] = {peer: [] for peer in PEERS}
    faults: list[str] = []
    for number in range(plan.rounds):
        for peer in PEERS:
            phases, found = await measure(peer, plan, directory / f"{number}-{peer}")
            runs[peer].append(phases)
            faults += [f"{peer}, round {number + 1}: {fault}" for fault in found]
            print(f"round {number + 1} {peer}: {phases['blast']}", flush=True)
    return runs, faults


def medians(runs: Sequence[dict[str, Figures]]) -> dict[str, Figures]:
    """Return phase -> figure -> median of the runs."""
    return {
        phase: {name: median(run[phase][name] for run in runs) for name in figures}
        for phase, figures in runs[0].items()
    }


def print_table(plan: Plan, results: dict[str, dict[str, Figures]]) -> None:
    """Print the medians as a Markdown table."""
    print(
        f"\n{plan.devices} devices on {plan.connections} connections, {PAYLOAD_BYTES}-byte "
        f"patches; {describe_machine()}; medians of {plan.rounds}\n"
    )
    print(
        "| peer | updates/s | ratio | CPU us per update (peer / broker / load) | states per update"
        f" | closed loop of {plan.outstanding}/s | ratio | p50 / p99 ms at {plan.rate_per_s}/s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    reference = results[PEERS[0]]
    for peer, phases in results.items():
        blast, closed, latency = phases["blast"], phases["closed_loop"], phases["latency"]
        print(
            f"| {peer} | {blast['updates_per_s']:,.0f} "
            f"| {blast['updates_per_s'] / reference['blast']['updates_per_s']:.2f} "
            f"| {blast['peer_cpu_us']:.1f} / {blast['broker_cpu_us']:.1f} "
            f"/ {blast['load_cpu_us']:.1f} | {blast['states_per_update']:.2f} "
            f"| {closed['updates_per_s']:,.0f} "
            f"| {closed['updates_per_s'] / reference['closed_loop']['updates_per_s']:.2f} "
            f"| {latency['p50_ms']:.2f} / {latency['p99_ms']:.2f} |"
        )


def describe_machine() -> str:
    """Return what the figures belong to."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


async def profile(plan: Plan, directory: Path) -> None:
    """Measure the bridge once under the profiler and print where its time goes."""
    profile_to = directory / "profile"
    phases, _ = await measure("bridge", plan, directory, profile_to=profile_to)
    print(f"under the profiler: {phases['blast']}")
    print_profiles(profile_to)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 where a state was wrong."""
    default = Plan()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=bounded(1, 10_000), default=default.devices)
    parser.add_argument("--updates", type=bounded(1, 2_000_000), default=default.updates)
    parser.add_argument("--rounds", type=bounded(1, 15), default=default.rounds)
    parser.add_argument("--latency-s", type=bounded(1, 60), default=default.latency_s)
    parser.add_argument("--profile", action="store_true", help="only the bridge, once, profiled")
    parser.add_argument("--json", type=Path, help="save all figures here")
    given = parser.parse_args(arguments)
    plan = Plan(
        devices=given.devices,
        connections=min(default.connections, given.devices),
        updates=given.updates,
        latency_s=given.latency_s,
        rounds=given.rounds,
    )
    with tempfile.TemporaryDirectory() as directory:
        if given.profile:
            asyncio.run(profile(plan, Path(directory)))
            return 0
        runs, faults = asyncio.run(measure_all(plan, Path(directory)))
    results = {peer: medians(of_peer) for peer, of_peer in runs.items()}
    print_table(plan, results)
    for fault in faults:
        print(f"WRONG {fault}", file=sys.stderr)
    if given.json is not None:
        save_json(
            given.json,
            {"machine": describe_machine(), "medians": results, "runs": runs, "wrong": faults},
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
