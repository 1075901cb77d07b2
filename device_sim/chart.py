"""Line charts as SVG, to be put into a page; no scripts, no fonts, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
HEIGHT = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 24, 30
_TICKS = 5
_LEGEND_LEFT, _LEGEND_WIDTH = 24, 105

COLORS = (
    "#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d",
    "#475569", "#a16207",
)  # fmt: skip
"""Of the lines, in turn; each is told from its neighbours on white and on black."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: For the legend.
        values: One for each point of time; None leaves a gap.
    """

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the time with a name.

    Attributes:
        name: What it is.
        start_s: Where it begins.
        end_s: Where it ends.
    """

    name: str
    start_s: float
    end_s: float


def chart(
    title: str, unit: str, times_s: Sequence[float], lines: Sequence[Line], bands: Sequence[Band]
) -> str:
    """Return a chart of values over time as an `svg` element.

    Args:
        title: What it shows; read out by screen readers too.
        unit: Of the values.
        times_s: The points of time, in seconds, ascending.
        lines: As many values each as there are points of time.
        bands: Parts of the time, drawn behind the lines.
    """
    end_s = max(times_s, default=0.0) or 1.0
    top = nice_ceiling(max((v for line in lines for v in line.values if v is not None), default=0))
    scale = _Scale(end_s, top)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        *_bands(bands, scale),
        *_grid(scale, unit),
    ]
    for index, line in enumerate(lines):
        color = COLORS[index % len(COLORS)]
        parts += _line(line, times_s, scale, color)
        parts.append(_legend(line.name, index, color))
    parts.append("</svg>")
    return "\n".join(parts)


def nice_ceiling(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is not below a value; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value)


@dataclass(frozen=True, slots=True)
class _Scale:
    end_s: float
    top: float

    def x(self, at_s: float) -> float:
        return round(_LEFT + at_s / self.end_s * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - value / self.top * (HEIGHT - _TOP - _BOTTOM), 1)


def _bands(bands: Sequence[Band], scale: _Scale) -> list[str]:
    parts = []
    for index, band in enumerate(bands):
        left, right = scale.x(band.start_s), scale.x(min(band.end_s, scale.end_s))
        parts.append(
            f'<rect class="band{index % 2}" x="{left}" y="{_TOP}" '
            f'width="{max(right - left, 0):.1f}" height="{HEIGHT - _TOP - _BOTTOM}">'
            f"<title>{escape(band.name)}</title></rect>"
        )
        parts.append(
            f'<text class="band" x="{left + 3:.1f}" y="{_TOP + 11}">{escape(band.name)}</text>'
        )
    return parts


def _grid(scale: _Scale, unit: str) -> list[str]:
    parts = [f'<text class="unit" x="4" y="12">{escape(unit)}</text>']
    for number in range(_TICKS + 1):
        value = scale.top * number / _TICKS
        y = scale.y(value)
        parts += [
            f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}"/>',
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{value:g}</text>",
        ]
    step_s = nice_ceiling(scale.end_s / _TICKS)
    parts += [
        f'<text class="tick" x="{scale.x(number * step_s)}" y="{HEIGHT - 10}" '
        f'text-anchor="middle">{number * step_s:g} s</text>'
        for number in range(int(scale.end_s / step_s) + 1)
    ]
    return parts


def _line(line: Line, times_s: Sequence[float], scale: _Scale, color: str) -> list[str]:
    """Return one polyline for each stretch without a gap."""
    stretches: list[list[str]] = [[]]
    for at_s, value in zip(times_s, line.values, strict=True):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{scale.x(at_s)},{scale.y(value)}")
    return [
        f'<polyline fill="none" stroke="{color}" stroke-width="1.8" points="{" ".join(points)}">'
        f"<title>{escape(line.name)}</title></polyline>"
        for points in stretches
        if points
    ]


def _legend(name: str, index: int, color: str) -> str:
    x = _LEFT + _LEGEND_LEFT + index * _LEGEND_WIDTH
    return f'<text class="legend" x="{x}" y="12" style="fill: {color}">● {escape(name)}</text>'
