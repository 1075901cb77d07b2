"""How a bridge is started to be tortured: what the launcher is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final, Literal, get_args

import orjson

Point = Literal[
    "before-commit", "inside-commit", "after-commit", "after-publish", "inside-migration"
]
"""Where a bridge dies by its own hand.

before-commit: a batch is decided, nothing of it is written;
inside-commit: everything is written, and the transaction is open;
after-commit: it is on the disk, nothing of it is published;
after-publish: it is with the broker, the messages that brought it are not acknowledged;
inside-migration: some statements of it are done.
"""

POINTS: Final[tuple[Point, ...]] = get_args(Point)

Plant = Literal[
    "acknowledge-before-commit", "publish-older-version", "drop-update", "delta-off-by-one"
]
"""A bug that is planted in a bridge, for the checker to find."""

PLANTS: Final[tuple[Plant, ...]] = get_args(Plant)


@dataclass(frozen=True, slots=True)
class Launch:
    """What happens to one process of the bridge from inside.

    Attributes:
        point: Where it dies; None: nowhere.
        count: At which pass of that point; of a migration, at which statement.
        clock_offset_s: Its clock is so far ahead of the true one, or behind.
        clock_step_s: And so much further, once `clock_step_at_s` seconds have passed.
        clock_step_at_s: See there.
        read_only_at_s: The database turns read-only so long after the first commit.
        read_only_for_s: And stays so for this long; 0: it does not turn.
        plant: A bug.
        plant_every: It strikes once in so many times.
    """

    point: Point | None = None
    count: int = 1
    clock_offset_s: float = 0.0
    clock_step_s: float = 0.0
    clock_step_at_s: float = 0.0
    read_only_at_s: float = 0.0
    read_only_for_s: float = 0.0
    plant: Plant | None = None
    plant_every: int = 0

    def encode(self) -> str:
        """Return it as an argument for the launcher."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def decode(cls, text: str) -> Launch:
        """Read what `encode` returned."""
        return cls(**orjson.loads(text))
