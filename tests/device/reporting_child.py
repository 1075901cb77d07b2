"""A device in a process of its own, for a test to kill.

Usage: reporting_child.py PORT OUTBOX FIRST. Reports FIRST, FIRST + 1, ... and prints each number
when `report` has returned.
"""

from __future__ import annotations

import itertools
import sys

from bridge.device import Device

REPORTS_MAX = 130
"""After so many it waits to be killed."""


def main() -> None:
    """Report until killed."""
    port, outbox, first = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    with Device("lamp-1", port=port, outbox=outbox, window=2, retry_after_s=0.2) as lamp:
        for number in itertools.count(first):
            # A value and an object in turn cannot be composed, so that several reports wait.
            odd = number if number % 2 else {"number": number}
            lamp.report({"number": number, f"last-{number % 5}": number, "odd": odd})
            print(number, flush=True)  # noqa: T201
            if number - first == REPORTS_MAX:
                sys.stdin.read()


if __name__ == "__main__":
    main()
