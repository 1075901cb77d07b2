"""What is built from the checkout is whole: files, commands, version."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib import import_module
from pathlib import Path

import pytest

import bridge

ROOT = Path(__file__).resolve().parent.parent

_COMMANDS = {"syncbridge": "bridge.cli:main", "device-sim": "device_sim.cli:main"}


def build(directory: Path) -> Path:
    """Build the wheel with the backend that is installed, so without a network."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=ROOT,
        check=True,
    )
    (path,) = directory.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel."""
    return zipfile.ZipFile(build(tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> dict[str, str]:
    """The headers of the wheel's METADATA."""
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return dict(Parser().parsestr(wheel.read(name).decode()).items())


def test_every_module_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """All of both packages, and nothing of the tests."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("bridge", "device_sim")
        for path in (ROOT / package).rglob("*.py")
    }
    built = {name for name in wheel.namelist() if name.endswith(".py")}
    assert built == expected


def test_two_builds_are_the_same_bytes(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Whenever they are made, so that who has built the same commit can compare."""
    assert wheel.filename is not None
    first = Path(wheel.filename).read_bytes()
    (ROOT / "bridge" / "py.typed").touch()
    assert build(tmp_path).read_bytes() == first


@pytest.mark.parametrize("name", ["bridge/py.typed", "device_sim/py.typed", "bridge/broker.yaml"])
def test_what_is_no_module_is_in_the_wheel_too(wheel: zipfile.ZipFile, name: str) -> None:
    """The markers of typed packages, and the embedded broker's configuration."""
    source = ROOT / ("broker.yaml" if name.endswith("broker.yaml") else name)
    assert wheel.read(name) == source.read_bytes()


def test_the_licence_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """As Apache-2.0 section 4 asks of whoever passes it on."""
    (name,) = (n for n in wheel.namelist() if n.endswith("/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_version_is_written_once(metadata: dict[str, str]) -> None:
    """In `bridge/__init__.py`; the package takes it from there."""
    assert metadata["Version"] == bridge.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", bridge.__version__)
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_oldest_python_is_the_one_that_is_tested(metadata: dict[str, str]) -> None:
    """What the package demands, and what the tools check against, agree."""
    assert metadata["Requires-Python"] == ">=3.11"
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'target-version = "py311"' in pyproject
    assert 'python_version = "3.11"' in pyproject


def test_the_commands_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """`syncbridge` and `device-sim`; not `bridge`, which iproute2 has."""
    (name,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    lines = wheel.read(name).decode().split("\n")
    commands = dict(line.split(" = ") for line in lines if " = " in line)
    assert commands == _COMMANDS


@pytest.mark.parametrize("target", _COMMANDS.values(), ids=list(_COMMANDS))
def test_the_commands_can_be_imported(target: str) -> None:
    """And are functions."""
    module, _, function = target.partition(":")
    assert callable(getattr(import_module(module), function))
