"""Mutations that coverage guides: libFuzzer, by way of atheris."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

from benchmarks.fuzz.corpus import read_corpus, write_corpus

RSS_LIMIT_MB: Final = 1024
"""Resident memory of one process, with the interpreter and the coverage in it."""

TIMEOUT_S: Final = 30
"""For one input, on a machine that others use too."""


def is_there() -> bool:
    """Tell whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def fuzz(name: str, workplace: Path, *, executions: int, seconds: int, seed: int) -> None:
    """Try inputs until there are enough, or one breaks something; ends the process.

    Args:
        name: The target.
        workplace: A directory for what is found: `corpus/` for inputs that go new ways,
            `crash-…`, `oom-…`, `timeout-…` for one that breaks something.
        executions: How many inputs are tried.
        seconds: No longer than this.
        seed: Of the mutations.
    """
    import atheris

    instrumented = _instrumented(name)
    with atheris.instrument_imports(include=instrumented):
        from benchmarks.fuzz.targets import KNOWN

    target = KNOWN[name]
    write_corpus(workplace / "seeds", read_corpus(name))
    (workplace / "corpus").mkdir()
    tokens = workplace / "tokens.dict"
    tokens.write_text("".join(map(_token_line, target.tokens)), encoding="ascii")
    atheris.Setup(
        [
            sys.argv[0],
            f"-runs={executions}",
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-max_len={target.length_max}",
            f"-rss_limit_mb={RSS_LIMIT_MB}",
            f"-timeout={TIMEOUT_S}",
            f"-dict={tokens}",
            f"-artifact_prefix={workplace}/",
            "-print_final_stats=1",
            str(workplace / "corpus"),
            str(workplace / "seeds"),
        ],
        target.make(),
    )
    atheris.Fuzz()


def _instrumented(name: str) -> list[str]:
    """Return what to instrument, without importing the target, which would be too early."""
    extra = {"query": ["sqlglot"], "configuration": ["yaml"], "permissions": ["yaml"]}
    return ["bridge", "benchmarks.fuzz.planted", *extra.get(name, [])]


def _token_line(token: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n'
