"""A run as one page that can be kept and passed on: charts, figures, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise

from bridge.device import JsonValue
from device_sim.chart import Band, Line, chart
from device_sim.document import Missing
from device_sim.report import rows_of
from device_sim.series import Sample
from device_sim.summary import Summary

FAULTS_IN_CHART = 10
"""Kinds of fault with a line of their own, the most frequent; all stand in the table."""

_VALUE_LENGTH = 200

_DIFFERENCE = ("device", "field", "expected", "the twin has")

_STYLE = """
:root { color-scheme: light dark; --ink: #1e293b; --paper: #fff; --soft: #64748b;
  --edge: #cbd5e1; --band0: #f1f5f9; --band1: #e2e8f0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e2e8f0; --paper: #0f172a; --soft: #94a3b8;
  --edge: #334155; --band0: #1e293b; --band1: #263449; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 780px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
.verdict { padding: .5rem .8rem; border-left: 5px solid #059669; }
.verdict.bad { border-color: #dc2626; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0;
  border-bottom: 1px solid var(--edge); overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; } tr.bad td { color: #dc2626; }
svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg text.legend { font-weight: 600; }
.grid { stroke: var(--edge); stroke-width: .6; }
figure { margin: 1rem 0; } figcaption { font-weight: 600; }
.band0 { fill: var(--band0); } .band1 { fill: var(--band1); }
"""


def html_report(summary: Summary) -> str:
    """Return the page: it needs no network and runs no scripts."""
    name = f"scenario {summary.scenario}" if summary.scenario else "a fleet"
    title = f"device-sim: {name}, {summary.devices:,} devices, seed {summary.seed}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            _verdict(summary),
            "<h2>How it went</h2>",
            *_charts(summary),
            "<h2>Figures</h2>",
            _figures(summary),
            *_table("Faults", ("fault", "times"), sorted(summary.faults.items())),
            *_table("Errors", ("what went wrong", "times"), sorted(summary.errors.items())),
            *_table("Not compared", ("device", "why"), sorted(summary.excused.items())),
            *_table(
                "Differences",
                ("device", "field", "expected", "the twin has"),
                _differences(summary),
            ),
            *_table("Refusals", ("what was refused",), [(each,) for each in summary.refusals]),
            "</body></html>",
            "",
        ]
    )


def _verdict(summary: Summary) -> str:
    text = (
        f"{summary.twins_equal:,} of {summary.compared:,} twins are what their devices believe"
        f"{'' if summary.ok else '; something is wrong, see below'}."
    )
    return f'<p class="verdict{"" if summary.ok else " bad"}">{escape(text)}</p>'


def _charts(summary: Summary) -> list[str]:
    samples = summary.samples
    if len(samples) < 2:
        return ["<p>It was too short for charts.</p>"]
    times_s = [sample.at_s for sample in samples]
    bands = _bands(samples)
    kinds = sorted(summary.faults, key=lambda kind: -summary.faults[kind])[:FAULTS_IN_CHART]

    def draw(title: str, unit: str, *lines: Line) -> str:
        drawn = chart(title, unit, times_s, lines, bands)
        return f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>"

    charts = [
        draw("Devices", "devices", Line("online", [each.online for each in samples])),
        draw(
            "Reports",
            "per second",
            Line("sent", _rates(samples, lambda each: each.sent)),
            Line("acknowledged", _rates(samples, lambda each: each.acknowledged)),
            Line("connections", _rates(samples, lambda each: each.connects)),
        ),
        draw(
            "Twins that lack something of what is desired",
            "twins",
            Line("outstanding", [each.outstanding for each in samples]),
        ),
        draw(
            "Publish to state, 99th percentile",
            "ms",
            Line("latency", [each.latency_p99_ms for each in samples]),
        ),
    ]
    if kinds:
        lines = [Line(kind, [each.faults.get(kind, 0) for each in samples]) for kind in kinds]
        charts.append(draw("Faults injected", "times", *lines))
    return charts


def _rates(samples: Sequence[Sample], count: Callable[[Sample], int]) -> list[float | None]:
    """Return how much a count grew per second before each sample; the first has nothing before."""
    rates: list[float | None] = [None]
    for before, after in pairwise(samples):
        passed_s = after.at_s - before.at_s
        rates.append((count(after) - count(before)) / passed_s if passed_s > 0 else None)
    return rates


def _bands(samples: Sequence[Sample]) -> list[Band]:
    bands: list[Band] = []
    for before, after in pairwise(samples):
        if bands and bands[-1].name == before.phase:
            bands[-1] = Band(before.phase, bands[-1].start_s, after.at_s)
        elif before.phase:
            bands.append(Band(before.phase, before.at_s, after.at_s))
    return bands


def _figures(summary: Summary) -> str:
    rows = "".join(
        f"<tr{' class=bad' if is_bad else ''}><th>{escape(name)}</th><td>{escape(text)}</td></tr>"
        for name, text, is_bad in rows_of(summary)
    )
    return f"<table>{rows}</table>"


def _differences(summary: Summary) -> list[tuple[object, ...]]:
    return [
        (
            each.device,
            f"{each.section}.{each.path}" if each.path else each.section,
            _value(each.expected),
            _value(each.actual),
        )
        for each in summary.differences
    ]


def _value(value: JsonValue | Missing) -> str:
    return "nothing" if isinstance(value, Missing) else json.dumps(value)[:_VALUE_LENGTH]


def _table(title: str, heads: Sequence[str], rows: Sequence[tuple[object, ...]]) -> list[str]:
    """Return a table under a heading; nothing where there are no rows."""
    if not rows:
        return []
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return [f"<h2>{escape(title)}</h2>", f"<table><tr>{head}</tr>{body}</table>"]
