"""The report as a page: whole, self-contained, and safe whatever stands in it."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest

from device_sim.chart import Band, Line, chart, nice_ceiling
from device_sim.document import MISSING
from device_sim.html_report import html_report
from device_sim.latency import Latencies
from device_sim.series import SAMPLES_MAX, Sample, Series
from device_sim.summary import Summary, TwinDifference
from tests.device_sim.test_report import GOOD


def _sample(at_s: float, **changed: object) -> Sample:
    values: dict[str, object] = {
        "online": 10,
        "sent": round(at_s * 50),
        "acknowledged": round(at_s * 50),
        "connects": 10,
        "outstanding": 0,
        "latency_p99_ms": 3.5,
        "faults": {"loss": round(at_s)},
        "phase": "dark" if at_s > 2 else "light",
    }
    return Sample(at_s=at_s, **(values | changed))  # type: ignore[arg-type]


def _summary(**changed: object) -> Summary:
    values: dict[str, object] = {
        "samples": tuple(_sample(float(at_s)) for at_s in range(6)),
        "faults": {"loss": 5, "cut": 1},
        "errors": {"Connection refused": 3},
        "excused": {"lamp-0001": "two devices have this id"},
        "scenario": "power-cut",
    }
    return dataclasses.replace(GOOD, **(values | changed))  # type: ignore[arg-type]


def _charts(page: str) -> list[ElementTree.Element]:
    return [
        ElementTree.fromstring(svg)  # noqa: S314 (our own)
        for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    ]


def test_the_page_has_its_charts_and_tables() -> None:
    """Connections, reports, deltas, latency and faults over time."""
    page = html_report(_summary())
    charts = _charts(page)
    assert [each.attrib["aria-label"] for each in charts] == [
        "Devices",
        "Reports",
        "Twins that lack something of what is desired",
        "Publish to state, 99th percentile",
        "Faults injected",
    ]
    assert all(each.findall("polyline") for each in charts)
    for text in ("power-cut", "Connection refused", "two devices have this id", "loss", "light"):
        assert text in page


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No scripts, no style sheets, no pictures, no links."""
    page = html_report(_summary())
    assert not re.search(r"<script|<link|<img|<iframe|@import|https?:|src=|href=|url\(", page)


def test_what_comes_from_devices_is_text() -> None:
    """Names and values cannot become elements of the page."""
    evil = "<script>alert(1)</script>"
    page = html_report(
        _summary(
            scenario=evil,
            differences=(TwinDifference(evil, "reported", evil, evil, MISSING),),
            differences_total=1,
            refusals=(evil,),
            excused={evil: evil},
            errors={evil: 1},
            faults={evil: 1},
            samples=tuple(_sample(float(at_s), phase=evil) for at_s in range(3)),
        )
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert _charts(page)
    assert 'class="verdict bad"' in page


def test_a_run_that_was_too_short_has_no_charts() -> None:
    """And says so."""
    page = html_report(_summary(samples=()))
    assert not _charts(page)
    assert "too short" in page


def test_a_gap_divides_a_line() -> None:
    """What is not known is not drawn."""
    svg = chart("t", "u", [0.0, 1.0, 2.0], [Line("a", [1.0, None, 2.0])], [Band("b", 0.0, 2.0)])
    assert len(ElementTree.fromstring(svg).findall("polyline")) == 2  # noqa: S314


def test_points_lie_within_the_chart() -> None:
    """The largest value at the top, the last at the right."""
    (svg,) = _charts(chart("t", "u", [0.0, 5.0, 10.0], [Line("a", [0.0, 99.0, 50.0])], []))
    (line,) = svg.findall("polyline")
    points = [tuple(map(float, each.split(","))) for each in line.attrib["points"].split()]
    assert [x for x, _ in points] == [56.0, 382.0, 708.0]
    assert points[0][1] > points[2][1] > points[1][1] >= 24.0


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (4, 5), (6, 10), (999, 1000)]
)
def test_axes_end_at_round_numbers(value: float, ceiling: float) -> None:
    """One, two or five."""
    assert nice_ceiling(value) == pytest.approx(ceiling)


def test_recent_latencies_are_those_since_the_last_look() -> None:
    """What was looked at before does not enter again."""
    latencies = Latencies()
    latencies.add(1.0)
    assert latencies.take_recent().quantile_s(0.5) == pytest.approx(1.0, rel=0.01)
    assert latencies.take_recent().quantile_s(0.5) is None
    latencies.add(2.0)
    assert latencies.take_recent().quantile_s(0.5) == pytest.approx(2.0, rel=0.01)
    assert latencies.count == 2


def test_a_long_run_keeps_a_bounded_number_of_samples() -> None:
    """The distance between them doubles instead."""
    series = Series(1.0)
    for second in range(5000):
        if series.is_due(float(second)):
            series.add(_sample(float(second)))
    assert SAMPLES_MAX / 2 <= len(series.samples) <= SAMPLES_MAX
    assert series.samples[0].at_s == 0.0
    assert series.samples[-1].at_s > 4900
