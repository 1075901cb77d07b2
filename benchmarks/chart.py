"""The throughputs as a bar chart, in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 760
_LABEL_WIDTH: Final = 210
_VALUE_WIDTH: Final = 80
_BAR_HEIGHT: Final = 18
_BAR_GAP: Final = 6
_GROUP_GAP: Final = 20
_TITLE_HEIGHT: Final = 24
_MARGIN: Final = 16

# Readable on a white page and on a black one.
_TEXT: Final = "#7d8590"
_MARKED: Final = "#2f81f7"
_OTHER: Final = "#a5aeb8"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its value, and whether it is the one to be looked at."""

    label: str
    value: float
    marked: bool = False


@dataclass(frozen=True, slots=True)
class BarGroup:
    """Bars that are compared with each other."""

    title: str
    bars: Sequence[Bar]


def bar_chart(title: str, groups: Sequence[BarGroup], note: str) -> str:
    """Return a chart in which all groups have one scale.

    Args:
        title: Above it, and what is read out instead of it.
        groups: From top to bottom.
        note: Below it.
    """
    most = max((bar.value for group in groups for bar in group.bars), default=0.0)
    room = WIDTH - 2 * _MARGIN - _LABEL_WIDTH - _VALUE_WIDTH
    scale = room / most if most > 0 else 0.0
    y = _MARGIN + _TITLE_HEIGHT
    parts = [_text(_MARGIN, _MARGIN + 12, title, bold=True)]
    for group in groups:
        parts.append(_text(_MARGIN, y + 14, group.title, bold=True))
        y += _TITLE_HEIGHT
        for bar in group.bars:
            parts += _bar(bar, y, bar.value * scale)
            y += _BAR_HEIGHT + _BAR_GAP
        y += _GROUP_GAP
    parts.append(_text(_MARGIN, y + 4, note))
    height = y + _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" font-family="sans-serif" font-size="13">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"]) + "\n"


def _bar(bar: Bar, y: int, width: float) -> list[str]:
    left = _MARGIN + _LABEL_WIDTH
    colour = _MARKED if bar.marked else _OTHER
    return [
        _text(left - 8, y + 14, bar.label, anchor="end"),
        f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{_BAR_HEIGHT}" rx="2" '
        f'fill="{colour}"/>',
        _text(left + width + 8, y + 14, f"{bar.value:,.0f}"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_TEXT}"{weight}>'
        f"{escape(text)}</text>"
    )
