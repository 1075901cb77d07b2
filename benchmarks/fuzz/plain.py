"""Mutations of a corpus, without guidance: everywhere, and the same again for the same seed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from benchmarks.fuzz.target import Run, Target

MUTATIONS_MAX: Final = 6
"""Of one input, one on top of the other."""

_LOOK_AT_CLOCK_EVERY: Final = 256

_EDGES: Final = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        executions: Inputs that were tried.
        finding: The input that broke something, or None.
        error: What was raised.
    """

    executions: int
    finding: bytes | None = None
    error: BaseException | None = None


class Mutator:
    """Makes inputs out of others.

    Args:
        target: What they are for.
        corpus: Those to begin with; empty input is always among them.
        seed: The same seed makes the same inputs.
    """

    def __init__(self, target: Target, corpus: Sequence[bytes], seed: int) -> None:
        self._random = random.Random(seed)
        self._corpus = [b"", *corpus]
        self._tokens = target.tokens or (b"\x00",)
        self._length_max = target.length_max
        self._ways = (
            self._flip, self._set, self._remove, self._repeat, self._token, self._token,
            self._splice, self._insert,
        )  # fmt: skip

    def next(self) -> bytes:
        """Return one input more."""
        data = bytearray(self._random.choice(self._corpus))
        for _ in range(self._random.randint(1, MUTATIONS_MAX)):
            self._random.choice(self._ways)(data)
        return bytes(data[: self._length_max])

    def _place(self, data: bytearray) -> int:
        return self._random.randint(0, len(data))

    def _run(self, data: bytearray) -> slice:
        start = self._place(data)
        return slice(start, start + self._random.randint(1, 8))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _set(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.choice(_EDGES)

    def _remove(self, data: bytearray) -> None:
        del data[self._run(data)]

    def _repeat(self, data: bytearray) -> None:
        place = self._place(data)
        data[place:place] = bytes(data[self._run(data)]) * self._random.choice((1, 1, 2, 40))

    def _token(self, data: bytearray) -> None:
        place = self._place(data)
        end = place + self._random.choice((0, 0, 1, 4))
        data[place:end] = self._random.choice(self._tokens)

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._corpus)
        data[self._place(data) :] = other[self._random.randint(0, len(other)) :]

    def _insert(self, data: bytearray) -> None:
        place = self._place(data)
        data[place:place] = self._random.randbytes(self._random.randint(1, 4))


def fuzz(
    target: Target, corpus: Sequence[bytes], *, executions: int, seconds: float, seed: int
) -> Outcome:
    """Try a corpus as it is, and then what is made of it.

    Args:
        target: What is tried.
        corpus: The inputs to begin with.
        executions: How many inputs are tried.
        seconds: No longer than this.
        seed: Of the mutations.
    """
    run = target.make()
    mutator = Mutator(target, corpus, seed)
    ends_at = time.monotonic() + seconds
    for count in range(executions):
        data = corpus[count] if count < len(corpus) else mutator.next()
        error = attempt(run, data)
        if error is not None:
            return Outcome(count + 1, data, error)
        if not count % _LOOK_AT_CLOCK_EVERY and time.monotonic() > ends_at:
            return Outcome(count + 1)
    return Outcome(executions)


def attempt(run: Run, data: bytes) -> BaseException | None:
    """Run one input; returns what it raised. A panic of Rust is no `Exception`."""
    try:
        run(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
        return error
    return None
