"""What a test does when a program that it needs is not on the machine."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRE_VARIABLE = "SYNCBRIDGE_REQUIRE_SERVICES"

# Debian and others keep daemons where an ordinary user's PATH does not look.
_SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def require_program(name: str) -> str:
    """Return the program's path; without it skip, or fail where CI demands every service."""
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is not None:
        return path
    reason = f"{name} is not installed"
    if os.environ.get(REQUIRE_VARIABLE):
        pytest.fail(f"{reason}, and {REQUIRE_VARIABLE} is set")
    pytest.skip(reason)
