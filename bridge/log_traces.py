"""Tracebacks for the log: where something failed, without what it was about.

The text of an exception that nobody has foreseen quotes what was at hand: a value of a payload, a
key, a token. So only those texts are shown that are written with the log in mind, and those of the
operating system and of the database, which name files and tables.
"""

from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path
from typing import Final

from bridge.errors import SyncbridgeError

SHOWN: Final = (SyncbridgeError, OSError, sqlite3.Error)
"""Exceptions whose text is shown."""

CHAIN_MAX: Final = 10
"""Most exceptions of one chain of causes; the first cause is among them."""


def trace_text(error: BaseException) -> str:
    """Return the traceback of an exception and of its causes, the first cause first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < CHAIN_MAX:
        chain.append(current)
        following = current.__cause__
        if following is None and not current.__suppress_context__:
            following = current.__context__
        current = following
    return "\n\nled to:\n\n".join(_one(each) for each in reversed(chain))


def place_of(error: BaseException) -> str:
    """Return where an exception was raised, as `ValueError in tree.py:31`."""
    frames = traceback.extract_tb(error.__traceback__)
    name = type(error).__name__
    return f"{name} in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else name


def _one(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    text = f": {error}" if isinstance(error, SHOWN) else ""
    return f"Traceback (most recent call last):\n{frames}{type(error).__qualname__}{text}"
