"""The comments in a broker's list about what holds only because the bridge looks."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cli.text import printable
from bridge.core.broker_rights import Narrowed


def narrowed_lines(narrowed: tuple[Narrowed, ...], broker: str, mark: str = "#") -> Iterator[str]:
    """Yield a comment for each rule that a broker cannot express, or nothing.

    Args:
        narrowed: The rules, and what happens instead.
        broker: Its name.
        mark: What a comment begins with.
    """
    if narrowed:
        yield f"{mark} What {broker} cannot express:"
    for each in narrowed:
        yield printable(f"{mark} line {each.rule.line}, {each.rule}")
        yield from (f"{mark}   {how}" for how in each.how)
