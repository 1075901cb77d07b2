"""How many faults in the core the core's tests notice: mutation testing, with mutmut.

mutmut makes thousands of variants of `bridge/core`, each with one small fault, and runs the tests
that come past it. A fault that no test notices has survived: a test is missing, or the code says
more than it means, or the fault is none. docs/mutation.md lists those that are left, with reasons.

    python -m benchmarks.mutation
    python -m benchmarks.mutation 'bridge.core.stamp.*'
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.arguments import bounded
from tests.support.examples import PERCENT_VARIABLE

WORKPLACE: Final = Path("mutants")
"""Where mutmut keeps its copy of the project, and what it has found out."""

LIST: Final = WORKPLACE / "survivors.txt"
DOCUMENT: Final = Path("docs/mutation.md")

EXAMPLES_PERCENT: Final = 5
"""Of the examples of a property: most mutants die of the first few, and there are thousands."""

MEMORY_BYTES: Final = 4 * 2**30
"""Of address space: a loop that a mutant never leaves may collect until the time is up."""

KILLED: Final = ("killed", "timeout")
"""What mutmut calls a mutant whose tests failed, or came to no end."""

_RESULT: Final = re.compile(r"^ +(\S+): (.+)$", re.MULTILINE)
_FENCED: Final = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Score(NamedTuple):
    """How many mutants there are, and how many of them the tests have killed."""

    mutants: int
    killed: int

    @property
    def percent(self) -> float:
        """The share of the killed ones."""
        return 100 * self.killed / self.mutants

    def __str__(self) -> str:
        left = self.mutants - self.killed
        return (
            f"{self.killed} of {self.mutants} mutants killed: {self.percent:.1f} %, {left} survived"
        )


def score_of(results: Mapping[str, str]) -> Score:
    """Count what mutmut says of each mutant."""
    return Score(len(results), sum(status in KILLED for status in results.values()))


def explained(document: str) -> set[str]:
    """Return the survivors that a document lists, a line for each in its `text` blocks."""
    lines = (line for block in _FENCED.findall(document) for line in block.splitlines())
    return {line for line in lines if line}


def change_of(name: str, diff: str) -> str:
    """Return a mutant in one line: its function, and what the fault replaced by what.

    Args:
        name: As mutmut calls it.
        diff: What it changes, as `diff -u` would say.
    """
    function = re.sub(r"ǁ", ".", name.rpartition("__mutmut_")[0].removeprefix("bridge.core."))
    function = re.sub(r"\.x[._]", ".", function)
    lines = diff.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("@@"))
    before, after = (
        " ".join(line[1:].strip() for line in lines[start:] if line.startswith(sign))
        for sign in "-+"
    )
    return f"{function}: {before} => {after}"


class Mutmut:
    """The program, and what it has found out so far.

    Args:
        children: How many mutants are tried at the same time.
    """

    def __init__(self, children: int) -> None:
        self._program = Path(sys.executable).with_name("mutmut")
        self._children = children

    def run(self, names: Sequence[str]) -> int:
        """Try the mutants of these names, or all; returns the exit status."""
        options = ("--max-children", str(self._children), *names)
        with self._start("run", *options) as process:
            return process.wait()

    def results(self) -> dict[str, str]:
        """Return what has become of each mutant."""
        return dict(_RESULT.findall(self._output("results", "--all", "true")))

    def changes(self, names: Iterable[str]) -> dict[str, str]:
        """Return in one line each what mutants change."""
        return {name: change_of(name, self._output("show", name)) for name in names}

    def _output(self, *arguments: str) -> str:
        with self._start(*arguments, stdout=subprocess.PIPE) as process:
            output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"mutmut {arguments[0]} failed")
        return output

    def _start(self, *arguments: str, stdout: int | None = None) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            PERCENT_VARIABLE: str(EXAMPLES_PERCENT),
            # The tests of a mutant come out of a set: in the same order at every run.
            "PYTHONHASHSEED": "0",
        }
        return subprocess.Popen(
            [self._program, *arguments],
            env=environment,
            preexec_fn=_limit_memory,
            stdout=stdout,
            text=True,
            encoding="utf-8",
        )


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def report(mutmut: Mutmut, names: Sequence[str]) -> int:
    """Print the score, and the survivors that the document does not explain.

    Returns:
        The exit status: 1 where there are such.
    """
    results = mutmut.results()
    tried = {name: status for name, status in results.items() if status != "not checked"}
    survivors = [name for name, status in tried.items() if status not in KILLED]
    changes = mutmut.changes(survivors)
    LIST.write_text("".join(f"{change}\n" for change in changes.values()), encoding="utf-8")
    known = explained(DOCUMENT.read_text(encoding="utf-8"))
    unknown = {name: change for name, change in changes.items() if change not in known}
    for name, change in unknown.items():
        print(f"not explained: {change}  ({name}, {tried[name]})")
    if not names:
        for change in sorted(known.difference(changes.values())):
            print(f"explained, but it does not survive: {change}")
    print(score_of(tried))
    print(f"The survivors are in {LIST}; {DOCUMENT} does not explain {len(unknown)} of them.")
    return 1 if unknown else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutmut here, where pyproject.toml configures it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to try again, with * (all, anew)")
    parser.add_argument("--children", type=bounded(1, 64), default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if not options.names:
        # It would keep what it found out before the tests changed.
        shutil.rmtree(WORKPLACE, ignore_errors=True)
    mutmut = Mutmut(options.children)
    status = mutmut.run(options.names)
    return status or report(mutmut, options.names)


if __name__ == "__main__":
    sys.exit(main())
