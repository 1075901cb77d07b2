"""What must be there after an overload: everything that was answered, and that the broker kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.payloads import make_payload
from benchmarks.report import Report
from benchmarks.scrape import Metrics
from benchmarks.stored import read_retained, read_twins
from benchmarks.witnesses import Witnesses, missing
from bridge.store.base import StoredTwin


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was sent, and what became of it as others say.

    Attributes:
        published: Publishes that the broker acknowledged.
        dropped: Those that it dropped afterwards, because the bridge's queue was full.
        metrics: The bridge's, at the end.
        witnesses: Devices whose updates were answered.
    """

    published: int
    dropped: int
    metrics: Metrics
    witnesses: Witnesses


async def check(
    report: Report,
    ledger: Ledger,
    fleet: Mapping[str, int],
    path: Path,
    port: int,
    prefix: str,
) -> None:
    """Compare what was sent with what the store and the broker hold.

    Args:
        report: Where faults go.
        ledger: What was sent.
        fleet: Number of each device's last update.
        path: The store, which no bridge holds any more.
        port: The broker's.
        prefix: Of all topics.
    """
    _check_counts(report, ledger)
    twins = read_twins(path)
    for device, number in fleet.items():
        twin = twins.get(device)
        if twin is None or _reported(twin) != orjson.loads(make_payload(number)):
            report.violations.append(f"{device}: its last update, {number}, is not in the store")
    _check_witnesses(report, ledger.witnesses, twins)
    retained = await read_retained(port, prefix)
    for device, twin in twins.items():
        if retained.get(f"{prefix}/{device}/state") != twin.state:
            report.violations.append(f"{device}: what is retained is not what is in the store")
    report.add("twins compared", len(twins))


def _check_counts(report: Report, ledger: Ledger) -> None:
    received = int(ledger.metrics["syncbridge_messages_received_total", ""])
    connections = int(ledger.metrics["syncbridge_link_connections_total", ""])
    report.add("published", ledger.published)
    report.add("dropped by the broker", ledger.dropped)
    report.add("taken by the bridge", received)
    if connections != 1:
        # What is delivered again would be counted twice, and hide what is missing.
        report.violations.append(f"the bridge had to connect {connections} times")
    if received < ledger.published - ledger.dropped:
        lost = ledger.published - ledger.dropped - received
        report.violations.append(f"{lost} messages that the broker kept did not arrive")


def _check_witnesses(report: Report, witnesses: Witnesses, twins: Mapping[str, StoredTwin]) -> None:
    answered = 0
    for stream in witnesses.streams:
        answered += len(stream.acknowledged)
        twin = twins.get(stream.device)
        lost = missing(stream, {} if twin is None else _reported(twin))
        report.violations += [f"{stream}: update {n} was answered and is lost" for n in lost]
        # Each that was answered made a version of its own.
        if twin is not None and twin.version < len(stream.acknowledged):
            report.violations.append(f"{stream}: fewer versions than updates that were answered")
    report.violations += witnesses.faults
    report.add("answered", answered)
    report.add("sent again", witnesses.repeated)


def _reported(twin: StoredTwin) -> dict[str, object]:
    reported: dict[str, object] = orjson.loads(twin.state)["reported"]
    return reported
