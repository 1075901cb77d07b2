"""Runs the targets one after the other, each in a process with bounded memory.

    python -m benchmarks.fuzz
    python -m benchmarks.fuzz --only json --percent 10
    python -m benchmarks.fuzz --replay json findings/json-crash-0123

Ends with 1 where something was found: each finding is saved, with the command that shows it again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.arguments import bounded
from benchmarks.fuzz import guided, plain
from benchmarks.fuzz.corpus import REPOSITORY
from benchmarks.fuzz.targets import KNOWN, TARGETS

SECONDS_EACH: Final = 900
"""For one target at most, so that a slow machine comes to an end too."""

FINDINGS: Final = Path("findings")

_EXECUTIONS = re.compile(rb"stat::number_of_executed_units: *(\d+)")
_DONE = re.compile(rb"executions=(\d+)")
_ARTIFACTS = ("crash-*", "oom-*", "timeout-*", "leak-*")


class Result(NamedTuple):
    """What became of one target.

    Attributes:
        executions: Inputs that were tried.
        seconds: How long that took.
        peak_bytes: Most resident memory of its process.
        finding: Where the input that broke something was saved, or None.
    """

    executions: int
    seconds: float
    peak_bytes: int
    finding: Path | None


def run_target(name: str, arguments: argparse.Namespace) -> Result:
    """Run one target in a process of its own, and keep what it found."""
    with tempfile.TemporaryDirectory() as directory:
        workplace = Path(directory)
        executions = max(1, KNOWN[name].executions * arguments.percent // 100)
        words = [name, workplace, executions, arguments.seconds_each, arguments.seed]
        if arguments.plain:
            words.append("plain")
        log = workplace / "log"
        began = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fuzz.child", *map(str, words)],
                cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        tail = _tail(log)
        counted = _EXECUTIONS.findall(tail) or _DONE.findall(tail)
        finding = _keep(name, workplace, arguments.findings)
        if finding is None and process.returncode:
            sys.stdout.buffer.write(tail[-4000:])
            raise SystemExit(f"the process of {name} ended with {process.returncode}")
        if arguments.grow:
            _grow(name, workplace)
        executions = int(counted[-1]) if counted else 0
        return Result(executions, seconds, usage.ru_maxrss * 1024, finding)


def _tail(log: Path, size_bytes: int = 64 * 1024) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size_bytes))
        return file.read()


def _keep(name: str, workplace: Path, findings: Path) -> Path | None:
    for pattern in _ARTIFACTS:
        for artifact in workplace.glob(pattern):
            findings.mkdir(parents=True, exist_ok=True)
            kept = findings / f"{name}-{artifact.name}"
            shutil.move(artifact, kept)
            return kept
    return None


def _grow(name: str, workplace: Path) -> None:
    """Show what went new ways, shortest first: to be added to the corpus by hand."""
    found = [path.read_bytes() for path in (workplace / "corpus").glob("*")]
    grown = Path("findings") / f"{name}.txt"
    grown.parent.mkdir(exist_ok=True)
    grown.write_text("".join(f"{data!r}\n" for data in sorted(found, key=len)), encoding="ascii")


def replay(name: str, path: Path) -> int:
    """Run one input again, and show what it raises."""
    data = path.read_bytes()
    error = plain.attempt(KNOWN[name].make(), data)
    if error is None:
        print(f"{name}: {len(data)} bytes are taken or refused as documented")
        return 0
    traceback.print_exception(error)
    print(f"{name}: {data!r}")
    return 1


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 1 where something was found."""
    arguments = _parse(words)
    if arguments.replay:
        name, path = arguments.replay
        return replay(name, Path(path))
    if not arguments.plain and not guided.is_there():
        print("atheris is not installed: mutations without guidance (pip install atheris)")
        arguments.plain = True
    results = {name: _reported(name, arguments) for name in arguments.only or TARGETS}
    executions = sum(result.executions for result in results.values())
    seconds = sum(result.seconds for result in results.values())
    peak = max(result.peak_bytes for result in results.values())
    found = sum(result.finding is not None for result in results.values())
    print(
        f"{executions:,} executions in {seconds / 60:.1f} min, {found} findings, "
        f"at most {peak // 2**20} MiB"
    )
    return 1 if found else 0


def _reported(name: str, arguments: argparse.Namespace) -> Result:
    result = run_target(name, arguments)
    print(
        f"{name:14} {result.executions:>10,} executions {result.seconds:>7.0f} s "
        f"{result.peak_bytes // 2**20:>5} MiB  {'nothing' if result.finding is None else 'FOUND'}",
        flush=True,
    )
    if result.finding is not None:
        print(
            f"  again: python -m benchmarks.fuzz --replay {name} {result.finding}",
            flush=True,
        )
    return result


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--only", action="append", choices=KNOWN, metavar="TARGET")
    parser.add_argument("--percent", type=bounded(1, 10_000), default=100)
    parser.add_argument("--seconds-each", type=bounded(1, 86_400), default=SECONDS_EACH)
    parser.add_argument("--seed", type=bounded(0, 2**31), default=1)
    parser.add_argument("--plain", action="store_true", help="without coverage guidance")
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    parser.add_argument("--grow", action="store_true", help="keep inputs that went new ways")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"))
    return parser.parse_args(words)
