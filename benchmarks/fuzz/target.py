"""What is fuzzed: a function of bytes, and what is known of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Run: TypeAlias = Callable[[bytes], None]
"""Takes any bytes. What it raises is a finding: it catches the documented errors itself."""


class Broken(AssertionError):
    """An input was taken, but what came of it is not what is promised."""


def require(holds: bool, promise: str) -> None:
    """Raise `Broken` where a promise does not hold."""
    if not holds:
        raise Broken(promise)


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder, or several that read the same.

    Attributes:
        name: Also of its corpus, `tests/data/fuzz/{name}.txt`.
        make: Makes the function, with what it needs, once for a process.
        executions: In a whole run of `make fuzz`, after what one execution costs.
        tokens: What inputs are likely to hold, for mutations.
        length_max: Longest input, in bytes, that is tried.
    """

    name: str
    make: Callable[[], Run]
    executions: int
    tokens: tuple[bytes, ...] = ()
    length_max: int = 1024
