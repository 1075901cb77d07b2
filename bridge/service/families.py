"""The metrics that are counted as things happen, with their names for Prometheus.

Names follow https://prometheus.io/docs/practices/naming/: a prefix, base units, `_total` for what
only grows. Labels have few values, and never the name of a device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from bridge import metrics
from bridge.core.policy import POLICIES

PREFIX: Final = "syncbridge_"

LABEL_VALUES: Final = 64
"""Most values of one label that are told apart. The bridge has fewer names for what it refuses;
this keeps a mistake from becoming a thousand time series."""

OTHER: Final = "other"
"""Value of a label for all that is beyond `LABEL_VALUES`."""


class _Counted(NamedTuple):
    """One counter.

    Attributes:
        counter: Its name in `bridge.metrics`.
        name: Its name here, without prefix and suffix.
        documentation: What it counts.
        label: Name of its label, or "".
        values: Values of the label that are there from the start.
    """

    counter: str
    name: str
    documentation: str
    label: str = ""
    values: tuple[str, ...] = ()


_COUNTED: Final = (
    _Counted(
        metrics.MESSAGES,
        "messages_received",
        "Messages taken from the broker, the bridge's own status aside.",
    ),
    _Counted(
        metrics.UPDATES_REFUSED,
        "refusals",
        "Messages that were refused, by the short name of the reason.",
        "reason",
    ),
    _Counted(
        metrics.QUARANTINED, "quarantined_messages", "Refused messages that were kept unanswered."
    ),
    _Counted(
        metrics.RESPONSE_TOPICS_IGNORED,
        "response_topics_ignored",
        "Messages that asked to be answered elsewhere than on their own reply topic.",
    ),
    _Counted(
        metrics.CONFLICTS,
        "conflicts",
        "Writes that lost against a concurrent one and went to the conflict log.",
        "policy",
        tuple(sorted(POLICIES)),
    ),
    _Counted(
        metrics.FLEET_TARGETS,
        "fleet_targets",
        "What has become of devices in fleet changes, by the state that they have entered.",
        "state",
        ("in_flight", "converged", "timed_out", "refused", "overwritten", "skipped"),
    ),
    _Counted(metrics.BATCHES, "commits", "Transactions that are on the disk."),
    _Counted(
        metrics.COMMIT_FAILURES, "commit_failures", "Attempts to commit that the store refused."
    ),
    _Counted(metrics.CACHE_LOOKUPS, "cache_lookups", "Twins that a batch or an order needed."),
    _Counted(metrics.CACHE_MISSES, "cache_misses", "Those of them that were read from the store."),
    _Counted(metrics.PUBLISHED, "twins_published", "Versions that the broker has acknowledged."),
    _Counted(metrics.PUBLISH_REFUSED, "publishes_refused", "Publishes that the broker refused."),
    _Counted(metrics.REPLIES_DROPPED, "replies_dropped", "Replies dropped as too many waited."),
    _Counted(metrics.EVENTS_DROPPED, "events_dropped", "Events dropped as too many waited."),
    _Counted(
        metrics.RESYNCS,
        "resyncs",
        "Devices that were asked for a full report.",
        "reason",
        ("gap", "session_lost", "store_restored"),
    ),
    _Counted(
        metrics.SILENT_OFFLINE, "silent_devices", "Devices that went offline because of silence."
    ),
    _Counted(metrics.SESSIONS_LOST, "sessions_lost", "Sessions that the broker has lost."),
    _Counted(metrics.REBUILT, "twins_rebuilt", "Twins published again for a broker that forgot."),
)

_OUTCOMES: Final = {
    "changed": metrics.UPDATES_CHANGED,
    "duplicate": metrics.UPDATES_DUPLICATE,
    "superseded": metrics.UPDATES_SUPERSEDED,
}


def counted(counters: metrics.Counters) -> Iterator[Metric]:
    """Yield everything that is counted."""
    updates = CounterMetricFamily(
        f"{PREFIX}updates",
        "Updates that made a version, that were repeats, or of which nothing took effect.",
        labels=("outcome",),
    )
    for outcome, counter in _OUTCOMES.items():
        updates.add_metric((outcome,), counters.value(counter))
    yield updates
    for entry in _COUNTED:
        yield _counter(entry, counters.labelled(entry.counter))


def _counter(entry: _Counted, counts: Mapping[str, int]) -> CounterMetricFamily:
    labels = (entry.label,) if entry.label else ()
    family = CounterMetricFamily(PREFIX + entry.name, entry.documentation, labels=labels)
    if not entry.label:
        family.add_metric((), sum(counts.values()))
        return family
    for value, count in _bounded({**dict.fromkeys(entry.values, 0), **counts}).items():
        family.add_metric((value,), count)
    return family


def _bounded(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Return counts by label, those beyond `LABEL_VALUES` together."""
    first = dict(list(counts.items())[:LABEL_VALUES])
    rest = sum(counts.values()) - sum(first.values())
    return {**first, OTHER: first.get(OTHER, 0) + rest} if rest else first


def measured(counters: metrics.Counters) -> Iterator[Metric]:
    """Yield the histograms."""
    stages = HistogramMetricFamily(
        f"{PREFIX}stage_seconds",
        "How long a stage of the pipeline took, once for each batch.",
        labels=("stage",),
    )
    for stage, histogram in counters.stages.histograms.items():
        stages.add_metric((stage,), _buckets(histogram), histogram.total)
    yield stages
    for name, documentation, histogram in (
        ("batch_messages", "Messages in a batch.", counters.batch_messages),
        ("commit_twins", "Twins in a transaction.", counters.batch_twins),
    ):
        family = HistogramMetricFamily(PREFIX + name, documentation)
        family.add_metric((), _buckets(histogram), histogram.total)
        yield family


def _buckets(histogram: metrics.Histogram) -> list[tuple[str, float]]:
    bounds = (*map(floatToGoString, histogram.bounds), "+Inf")
    return list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
