"""Files that hold a device's key, or what is needed to fetch it: for nobody but their owner."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from bridge.core.topics import is_device_id
from bridge.errors import KeyFileError
from bridge.security.frame import KEY_ID_MAX, Algorithm
from bridge.security.sealing import KEY_BYTES, DeviceKey

_NOBODY_ELSE = 0o077
_BYTES_MAX = 4096


def save_key(path: Path, key: DeviceKey) -> None:
    """Write a device's key, durably; what was there is replaced in one step.

    Raises:
        KeyFileError: It cannot be written.
    """
    write_private(
        path,
        {
            "device": key.device,
            "key_id": key.key_id,
            "algorithm": int(key.algorithm),
            "key": key.secret.hex(),
        },
    )


def load_key(path: Path) -> DeviceKey:
    """Read what `save_key` wrote.

    Raises:
        KeyFileError: It cannot be read, others may use it, or it holds no key.
    """
    content = read_private(path)
    device, key_id = content.get("device"), content.get("key_id")
    algorithm, secret = content.get("algorithm"), bytes_of(content, "key")
    if (
        isinstance(device, str)
        and is_device_id(device)
        and isinstance(key_id, int)
        and 0 <= key_id <= KEY_ID_MAX
        and isinstance(algorithm, int)
        and algorithm in Algorithm.__members__.values()
        and len(secret) == KEY_BYTES
    ):
        return DeviceKey(device, key_id, Algorithm(algorithm), secret)
    raise KeyFileError(
        f"{path} holds no device's key", hint="enrol the device again, or name another file"
    )


def bytes_of(content: Mapping[str, object], name: str) -> bytes:
    """Return bytes that stand in a file as hexadecimal digits; none where they do not."""
    text = content.get(name)
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def write_private(path: Path, content: Mapping[str, object]) -> None:
    """Write a file of mode 0600, durably; what was there is replaced in one step.

    Raises:
        KeyFileError: It cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(orjson.dumps(content) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from error


def read_private(path: Path) -> Mapping[str, object]:
    """Read a file that `write_private` wrote.

    Raises:
        KeyFileError: It cannot be read, others may use it, or it is not of ours.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from error
    if mode & _NOBODY_ELSE:
        raise KeyFileError(
            f"{path} can be used by others than its owner (its mode is {mode & 0o7777:04o})",
            hint=f"chmod 600 {path}; and enrol the device again if others have had the chance",
        )
    value: object = None
    with contextlib.suppress(orjson.JSONDecodeError):
        value = orjson.loads(content)
    if not isinstance(value, dict):
        raise KeyFileError(f"{path} is not a file of this library")
    return value


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
