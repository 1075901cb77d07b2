"""Small files for nobody but their owner, written so that they are there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bridge.errors import ConfigError, KeyFileError
from bridge.secret_file import NOBODY_ELSE, require_private

PRIVATE_FILE_BYTES: Final = 4096
"""A key, and what it is for, take some hundred."""


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write an object as JSON into a file of mode 0600, durably on return.

    Raises:
        KeyFileError: It cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(json.dumps(content).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be written: {error.strerror}",
            hint="name a file in a directory where this program may write",
        ) from error


def read_private(path: Path) -> Mapping[str, object]:
    """Read what `write_private` wrote; empty where it is no object.

    Raises:
        KeyFileError: It cannot be read, or others may use it.
    """
    try:
        with path.open("rb") as file:
            require_private("key_file", path, os.fstat(file.fileno()).st_mode, NOBODY_ELSE)
            content = file.read(PRIVATE_FILE_BYTES)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
    except ConfigError as error:
        raise KeyFileError(error.message, hint=error.hint) from error
    value: object = None
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(content)
    return value if isinstance(value, dict) else {}


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
