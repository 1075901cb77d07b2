"""Arguments of the benchmarks' command lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def bounded(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a type for `argparse`: an integer within bounds."""

    def convert(text: str) -> int:
        value = int(text)
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"{value} is not within {lowest} and {highest}")
        return value

    return convert
