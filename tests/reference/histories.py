"""Random histories by number: the same seed and index are the same history, everywhere."""

from __future__ import annotations

import random
from typing import Final

from tests.reference.pair import Divergence, Pair
from tests.reference.steps import History, Reload, Send, Step
from tests.reference.traffic import TABLES, Traffic

MESSAGES_AT_LEAST: Final = 20
"""Enough for a message to meet what several others have left."""

MESSAGES_AT_MOST: Final = 60
"""Of a history in which some writer never came to write."""

WRITERS_AT_LEAST: Final = 3


def play(seed: int, index: int) -> tuple[History, str | None]:
    """Let a history happen to the core and the model.

    Returns:
        The history, up to where they differ, and how; None if they do not.
    """
    chance = random.Random(f"{seed}/{index}")
    table = chance.choice(TABLES)
    traffic = Traffic(chance, table)
    pair = Pair(table, stores=traffic.reloads)
    steps: list[Step] = []
    messages, writers = 0, set()
    try:
        while messages < MESSAGES_AT_LEAST or len(writers) < WRITERS_AT_LEAST:
            step = traffic.next(pair.model.version)
            steps.append(step)
            pair.step(step)
            messages += not isinstance(step, Reload)
            if isinstance(step, Send):
                writers.add(step.writer)
            if messages >= MESSAGES_AT_MOST:
                break
        pair.check_since()
    except Divergence as divergence:
        return History(table, steps), f"step {len(steps) - 1}: {divergence}"
    # What the core raises is its fault too.
    except Exception as error:  # noqa: BLE001
        return History(table, steps), f"step {len(steps) - 1}: {type(error).__name__}: {error}"
    return History(table, steps), None
