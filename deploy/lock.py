"""Writes down which releases a deployment installs, each with the hashes of its wheels.

    make lock

pip chooses the newest releases that pyproject.toml allows, once for each Python and machine; the
choice of the first holds for all. Where pip finds them is its own configuration's matter: no index
is named in what is written. To be run on Linux, as markers such as `sys_platform` are judged here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent

LOCKED: Final = "requirements.txt"
"""What the bridge runs with, uvloop too, and what builds it."""

LOCKED_FOR_TRACING: Final = "requirements-tracing.txt"
"""What the extra `tracing` needs besides."""

GLIBC_MINORS: Final = range(5, 35)
"""Wheels for glibc 2.5 to 2.34 are taken, the oldest first: Debian 12 and RHEL 9 have that."""


class Target(NamedTuple):
    """What is installed on: a version of Python, as 3.11, and a machine, as x86_64."""

    python: str
    machine: str

    @property
    def platforms(self) -> list[str]:
        """Tags of the wheels that run there, the oldest first."""
        return [
            "manylinux2014_" + self.machine,
            *(f"manylinux_2_{minor}_{self.machine}" for minor in GLIBC_MINORS),
        ]

    def needs(self, requirement: Requirement, extra: str) -> bool:
        """Tell whether a requirement of a package counts there, with an extra or with none."""
        there = {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_machine": self.machine,
            "extra": extra,
        }
        return requirement.marker is None or requirement.marker.evaluate(there)


TARGETS: Final = tuple(
    Target(python, machine)
    for python in ("3.11", "3.12", "3.13", "3.14")
    for machine in ("x86_64", "aarch64")
)


@dataclass
class Release:
    """One release of a package.

    Attributes:
        version: Which.
        hashes: SHA-256 of each of its wheels that a target takes, in hexadecimal digits.
        requires: What it asks for.
    """

    version: str
    hashes: set[str] = field(default_factory=set)
    requires: list[Requirement] = field(default_factory=list)


class Lock:
    """The releases that were chosen.

    Attributes:
        releases: By the normal form of their packages' names.
    """

    def __init__(self) -> None:
        self.releases: dict[str, Release] = {}

    def add(self, target: Target, requirements: Sequence[str]) -> None:
        """Choose for one target what earlier targets have left open.

        Raises:
            CalledProcessError: pip finds no wheels that fit together; it has said which.
        """
        wanted = [*requirements]
        found = self._take(target, wanted)
        # pip judges markers by the Python that runs it: what only the target's needs is added.
        while lacking := self.needed_by(wanted, [target]) - found:
            wanted += sorted(lacking)
            found = self._take(target, wanted)

    def _take(self, target: Target, requirements: Sequence[str]) -> set[str]:
        pinned = [f"{name}=={release.version}\n" for name, release in self.releases.items()]
        found = set()
        for entry in _resolve(target, requirements, pinned):
            metadata = entry["metadata"]
            name = canonicalize_name(metadata["name"])
            found.add(name)
            release = self.releases.setdefault(name, Release(metadata["version"]))
            release.hashes.add(entry["download_info"]["archive_info"]["hashes"]["sha256"])
            release.requires = [*map(Requirement, metadata.get("requires_dist", ()))]
        return found

    def needed_by(self, requirements: Iterable[str], targets: Sequence[Target]) -> set[str]:
        """Return the names of what some requirements bring, on any of the targets."""
        seen: set[tuple[str, str]] = set()
        waiting = [*map(Requirement, requirements)]
        while waiting:
            requirement = waiting.pop()
            name = canonicalize_name(requirement.name)
            release = self.releases.get(name)
            for extra in {"", *requirement.extras}:
                if (name, extra) in seen:
                    continue
                seen.add((name, extra))
                waiting += [
                    each
                    for each in (release.requires if release else ())
                    if any(target.needs(each, extra) for target in targets)
                ]
        return {name for name, _ in seen}

    def lines(self, names: Iterable[str]) -> Iterator[str]:
        """Yield lines as pip reads them."""
        for name in sorted(names):
            release = self.releases[name]
            yield f"{name}=={release.version} \\\n"
            yield " \\\n".join(f"    --hash=sha256:{digest}" for digest in sorted(release.hashes))
            yield "\n"


def _resolve(
    target: Target, requirements: Sequence[str], pinned: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what pip would install, as its report has it."""
    with tempfile.TemporaryDirectory() as directory:
        constraints = Path(directory) / "constraints.txt"
        constraints.write_text("".join(pinned), encoding="utf-8")
        report = Path(directory) / "report.json"
        subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                "--dry-run", "--ignore-installed", "--report", report, "--target", directory,
                "--only-binary", ":all:", "--implementation", "cp",
                "--python-version", target.python,
                *(f"--platform={platform}" for platform in target.platforms),
                "--constraint", constraints, *requirements,
            ],
            check=True,
        )  # fmt: skip
        chosen: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
        return chosen


def write_lock(project: Path, directory: Path, targets: Sequence[Target] = TARGETS) -> None:
    """Choose the releases for a project, and write the two files.

    Args:
        project: Its `pyproject.toml`.
        directory: For the files.
        targets: The first one chooses.
    """
    declared = tomllib.loads(project.read_text(encoding="utf-8"))
    extras: Mapping[str, list[str]] = declared["project"]["optional-dependencies"]
    builds: list[str] = declared["build-system"]["requires"]
    runs = [*declared["project"]["dependencies"], *extras["speed"], *builds]
    lock = Lock()
    for target in targets:
        print(f"Python {target.python} on {target.machine} …", flush=True)
        lock.add(target, [*runs, *extras["tracing"]])
    needed = lock.needed_by(runs, targets)
    pythons = ", ".join(dict.fromkeys(target.python for target in targets))
    machines = " and ".join(dict.fromkeys(target.machine for target in targets))
    head = f"# Written by `make lock`: for Python {pythons} on Linux with glibc, {machines}.\n"
    for name, kept in ((LOCKED, needed), (LOCKED_FOR_TRACING, lock.releases.keys() - needed)):
        (directory / name).write_text(head + "".join(lock.lines(kept)), encoding="utf-8")


if __name__ == "__main__":
    write_lock(ROOT / "pyproject.toml", ROOT / "deploy")
