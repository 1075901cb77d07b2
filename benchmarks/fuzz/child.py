"""One target in this process, its memory bounded: what `benchmarks.fuzz` starts for each.

    python -m benchmarks.fuzz.child TARGET WORKPLACE EXECUTIONS SECONDS SEED [plain]

Nothing is printed but how many executions there were.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# Not the targets: with guidance, what they import is instrumented when it is imported.
from benchmarks.fuzz import guided
from benchmarks.fuzz.corpus import digest, read_corpus

ADDRESS_SPACE_BYTES: Final = 4 * 2**30
"""What takes more fails at once, not only when it is used."""


def main(words: Sequence[str]) -> int:
    """Run one target; returns 1 where something was found, which is then in the workplace."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    # The codec panics at broken UTF-8, which is caught; a trace takes a thousand times as long.
    os.environ["RUST_BACKTRACE"] = "0"
    name, workplace = words[0], Path(words[1])
    executions, seconds, seed = map(int, words[2:5])
    if "plain" not in words[5:]:
        guided.fuzz(name, workplace, executions=executions, seconds=seconds, seed=seed)
    return _without_guidance(name, workplace, executions, seconds, seed)


def _without_guidance(name: str, workplace: Path, executions: int, seconds: int, seed: int) -> int:
    from benchmarks.fuzz.plain import fuzz
    from benchmarks.fuzz.targets import KNOWN

    target = KNOWN[name]
    corpus = read_corpus(name)
    outcome = fuzz(target, corpus, executions=executions, seconds=seconds, seed=seed)
    print(f"executions={outcome.executions}")
    if outcome.finding is None:
        return 0
    (workplace / f"crash-{digest(outcome.finding)}").write_bytes(outcome.finding)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
