"""Files that hold a device's key, as `syncbridge keys create` and `enrol` write them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from bridge.device.private_file import write_private
from bridge.errors import ConfigError
from bridge.secret_file import NOBODY_ELSE, require_private
from bridge.security.frame import ALGORITHM_NAMES, KEY_ID_MAX, Algorithm
from bridge.security.primitives import KEY_BYTES
from bridge.security.sealing import DeviceKey

KEY_FILE_BYTES: Final = 4096
"""A device id of 128 characters and a key take less than 400."""

_FIELD: Final = "sealing"
_BY_NAME: Final = {name: algorithm for algorithm, name in ALGORITHM_NAMES.items()}


def read_device_key(path: Path | str, field: str = _FIELD) -> DeviceKey:
    """Read a device's key from a file that only its user may read.

    Args:
        path: The file.
        field: What names it: the argument, or an option of a command.

    Raises:
        ConfigError: It cannot be read, others have rights on it, or it holds no key.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            require_private(field, path, os.fstat(file.fileno()).st_mode, NOBODY_ELSE)
            content = file.read(KEY_FILE_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{field}: {path} cannot be read: {error.strerror}", field=field
        ) from error
    key = _parsed(content)
    if key is None:
        # What stands in it is never shown.
        raise ConfigError(
            f"{field}: {path} holds no key of a device",
            field=field,
            hint="`syncbridge keys create DEVICE --output FILE` makes one",
        )
    return key


def write_device_key(path: Path | str, key: DeviceKey) -> None:
    """Write a device's key into a file that only its user may read, as `read_device_key` reads it.

    What was there is replaced in one step.

    Raises:
        KeyFileError: It cannot be written.
    """
    write_private(
        Path(path),
        {
            "device": key.device,
            "key_id": key.key_id,
            "algorithm": ALGORITHM_NAMES[key.algorithm],
            "key": key.secret.hex(),
        },
    )


def _parsed(content: bytes) -> DeviceKey | None:
    try:
        match json.loads(content):
            case {
                "device": str(device),
                "key_id": int(key_id),
                "algorithm": str(name),
                "key": str(digits),
            }:
                secret = bytes.fromhex(digits)
            case _:
                return None
    except (ValueError, RecursionError):
        return None
    algorithm: Algorithm | None = _BY_NAME.get(name)
    if algorithm is None or len(secret) != KEY_BYTES or not 0 <= key_id <= KEY_ID_MAX:
        return None
    return DeviceKey(device, key_id, algorithm, secret)
