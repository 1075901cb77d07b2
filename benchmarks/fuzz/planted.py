"""A decoder with a bug: fuzzing that does not find it shows nothing of the others."""

from __future__ import annotations

from benchmarks.fuzz.target import Run, Target

HEAD = b"SB"


def _make() -> Run:
    def run(data: bytes) -> None:
        if data[:2] == HEAD and len(data) > 3 and data[2] > 0x20:
            # It believes a length that came with the bytes.
            data[data[2]]

    return run


TARGET = Target("planted", _make, 200_000, (HEAD,), length_max=64)
