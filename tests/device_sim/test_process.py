"""Open files and memory of a process, in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from device_sim.process import SPARE_FILES, connections_allowed, resident_bytes

_ROOT = Path(__file__).parents[2]


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    """As far as the system lets without privileges."""
    program = (
        "import resource as r\n"
        "from device_sim.process import raise_file_limit\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 512))\n"
        "print(raise_file_limit(), *r.getrlimit(r.RLIMIT_NOFILE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["512", "512", "512"]


def test_a_fleet_that_does_not_fit_is_told_what_does() -> None:
    """Before anything is tried; gateways need fewer files."""
    program = (
        "import resource as r, sys\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (400, 400))\n"
        "from device_sim.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = [
        sys.executable,
        "-c",
        program,
        "run",
        "--devices",
        "301",
        "--broker",
        "127.0.0.1:1",
    ]
    done = subprocess.run(arguments, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "301 connections do not fit: the hard limit of open files allows 300" in done.stderr
    assert "--gateways" in done.stderr
    done = subprocess.run(
        [*arguments, "--gateways", "10"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert "no broker" in done.stderr


def test_some_files_are_spared() -> None:
    """And without a limit there is none."""
    assert connections_allowed(1000) == 1000 - SPARE_FILES
    assert connections_allowed(10) == 0
    assert connections_allowed(resource.RLIM_INFINITY) > 1_000_000


def test_memory_is_measured() -> None:
    """It grows with what is held."""
    before = resident_bytes()
    held = bytearray(b"x" * 64 * 2**20)
    assert resident_bytes() - before > 32 * 2**20
    assert held
