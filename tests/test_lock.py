"""What a deployment installs: exact releases with hashes, which pip holds what it gets against."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.lock import LOCKED, LOCKED_FOR_TRACING, Target, write_lock

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
RUNS = [
    *PYPROJECT["project"]["dependencies"],
    *EXTRAS["speed"],
    *PYPROJECT["build-system"]["requires"],
]

_LINE = re.compile(r"([a-z0-9-]+)==([a-z0-9.+]+)((?: --hash=sha256:[0-9a-f]{64})+)")


def locked(directory: Path, *names: str) -> dict[str, str]:
    """Return the versions in files that hold nothing but releases with hashes: no index either."""
    text = "".join((directory / name).read_text(encoding="ascii") for name in names)
    lines = re.sub(r" \\\n +", " ", text).splitlines()
    matches = [_LINE.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(matches), lines
    return {match[1]: match[2] for match in matches if match}


def brought(name: str, version: str, extra: str) -> list[Requirement]:
    """Return what a release asks for, if it is the one that is installed here."""
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []
    if installed.version != version:
        return []
    asked_for = map(Requirement, installed.requires or ())
    return [each for each in asked_for if not each.marker or each.marker.evaluate({"extra": extra})]


@pytest.mark.parametrize(
    ("requirements", "files"),
    [(RUNS, [LOCKED]), (EXTRAS["tracing"], [LOCKED, LOCKED_FOR_TRACING])],
)
def test_each_dependency_is_locked_within_its_bounds(
    requirements: list[str], files: list[str]
) -> None:
    """With what it brings. Whoever adds one, or raises a bound, has to run `make lock`."""
    versions = locked(ROOT / "deploy", *files)
    seen: set[tuple[str, str]] = set()
    waiting = [*map(Requirement, requirements)]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        version = versions.get(name)
        assert version is not None, f"{requirement} is not locked: make lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} is locked at {version}: make lock"
        )
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += brought(name, version, extra)


class Wheels:
    """Releases in a directory, which pip is to take them from."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def make(self, name: str, version: str, *needs: str, tag: str = "py3-none-any") -> Path:
        """Make a wheel with nothing in it but what it says of itself."""
        path = self.directory / f"{name}-{version}-{tag}.whl"
        info = f"{name}-{version}.dist-info"
        told = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        told += [f"Requires-Dist: {each}" for each in needs]
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{info}/METADATA", "\n".join(told) + "\n")
            wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
            wheel.writestr(f"{info}/RECORD", "")
        return path

    def install(self, lock: Path) -> subprocess.CompletedProcess[str]:
        """Have pip fetch what a file asks for, as a deployment does, and install nothing."""
        return subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed",
                "--require-hashes", "--no-index", "--find-links", self.directory, "-r", lock,
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


PROJECT = """
[build-system]
requires = ["builder"]
[project]
dependencies = ["one>=1.0,<3"]
[project.optional-dependencies]
speed = ["fast"]
tracing = ["tracer"]
"""


def test_the_newest_that_fits_is_locked_for_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own wheel, and what only its Python needs; of extras those that are asked for."""
    wheels = Wheels(tmp_path / "wheels")
    for version in ("1.0", "2.0", "3.0"):
        wheels.make("one", version, "two[y]; python_version >= '3.14'", "spare; extra == 'x'")
    wheels.make("two", "1.0", "three; extra == 'y'")
    for name in ("three", "builder", "tracer"):
        wheels.make(name, "1.0")
    wheels.make("fast", "1.0", tag="cp314-cp314-manylinux_2_17_x86_64")
    fast = wheels.make("fast", "1.0", tag="cp314-cp314-manylinux_2_17_aarch64")
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="ascii")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels.directory))
    write_lock(tmp_path / "pyproject.toml", tmp_path, [Target("3.14", "aarch64")])
    versions = {"builder": "1.0", "fast": "1.0", "one": "2.0", "three": "1.0", "two": "1.0"}
    assert locked(tmp_path, LOCKED) == versions
    assert locked(tmp_path, LOCKED_FOR_TRACING) == {"tracer": "1.0"}
    assert hash_of(fast) in (tmp_path / LOCKED).read_text(encoding="ascii")


def test_pip_takes_nothing_that_was_changed_after_it_was_locked(tmp_path: Path) -> None:
    """Of two releases the one that was not is taken without a word."""
    wheels = Wheels(tmp_path / "wheels")
    whole, changed = wheels.make("one", "1.0"), wheels.make("two", "1.0")
    lock = tmp_path / LOCKED
    lock.write_text(
        f"one==1.0 --hash=sha256:{hash_of(whole)}\ntwo==1.0 --hash=sha256:{hash_of(changed)}\n"
    )
    with zipfile.ZipFile(changed, "a") as wheel:
        wheel.writestr("two.py", "import os")
    refused = wheels.install(lock)
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert hash_of(changed) in refused.stderr
    assert hash_of(whole) not in refused.stderr
