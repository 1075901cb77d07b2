"""The chart of the benchmark suite."""

from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.chart import Bar, BarGroup, bar_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_values() -> None:
    """All groups have one scale, and nothing reaches beyond the picture."""
    groups = [
        BarGroup("few", [Bar("bridge", 80_000, marked=True), Bar("echo", 40_000)]),
        BarGroup("many", [Bar("bridge", 20_000)]),
    ]
    root = ElementTree.fromstring(bar_chart("Updates", groups, "a note"))  # noqa: S314
    bars = root.findall(f"{SVG}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] == 2 * widths[1] == 4 * widths[2]
    assert all(
        float(bar.attrib["x"]) + float(bar.attrib["width"]) < float(root.attrib["width"])
        for bar in bars
    )
    assert len({bar.attrib["fill"] for bar in bars}) == 2
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert {"Updates", "few", "many", "bridge", "echo", "80,000", "a note"} <= set(texts)
    height = float(root.attrib["height"])
    assert all(0 < float(text.attrib["y"]) < height for text in root.findall(f"{SVG}text"))


def test_a_label_may_hold_anything() -> None:
    """It is text, not markup."""
    root = ElementTree.fromstring(  # noqa: S314
        bar_chart("<&>", [BarGroup("", [Bar("a<b & c", 0)])], "")
    )
    assert "a<b & c" in [text.text for text in root.findall(f"{SVG}text")]


def test_nothing_measured_is_an_empty_chart() -> None:
    """It has its title still."""
    root = ElementTree.fromstring(bar_chart("Updates", [], ""))  # noqa: S314
    assert root.findtext(f"{SVG}title") == "Updates"
