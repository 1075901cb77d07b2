"""What the figures belong to."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bridge import __version__
from tests.support.services import require_program

_PACKAGES: Final = ("mqtt5", "orjson", "paho-mqtt", "uvloop")


def describe_machine() -> dict[str, str]:
    """Return machine and versions by name; what is not installed is left out."""
    return {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "syncbridge": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "Mosquitto": _mosquitto(),
        **_packages(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _mosquitto() -> str:
    """Return its version; it has no option for that alone, and ends with 3 where it shows it."""
    program = require_program("mosquitto")
    shown = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\S+)", shown)
    return found[1] if found else "unknown"


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
