"""The corpus: for each target a file of inputs, one a line, as literals of Python's bytes.

So it can be read, compared and commented. A line that begins with # is a comment.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DIRECTORY: Final = REPOSITORY / "tests" / "data" / "fuzz"


def read_corpus(name: str) -> list[bytes]:
    """Return a target's inputs; none where it has no file."""
    path = DIRECTORY / f"{name}.txt"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="ascii").splitlines()
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def write_corpus(directory: Path, inputs: Iterable[bytes]) -> None:
    """Write inputs as libFuzzer wants them: a file each."""
    directory.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (directory / digest(data)).write_bytes(data)


def digest(data: bytes) -> str:
    """Return what a file with an input is called."""
    return hashlib.sha256(data).hexdigest()[:16]
