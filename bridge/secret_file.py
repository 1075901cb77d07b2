"""Files that hold a secret: who else may use them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bridge.errors import ConfigError

NOBODY_ELSE = 0o077
"""Bits of a mode that a private key has none of."""

NOT_THE_WORLD = 0o007
"""Bits of a mode that a password has none of: mounted secrets are often readable for a group."""


PASSWORD_BYTES = 65_535
"""The longest password that MQTT's length field can say (MQTT 5 section 3.1.3.6)."""


def require_private(field: str, path: Path, mode: int, forbidden: int) -> None:
    """Refuse a file on which others have rights.

    Args:
        field: The setting that names the file.
        path: The file, for the message.
        mode: Its mode, as `os.stat_result.st_mode`.
        forbidden: `NOBODY_ELSE` or `NOT_THE_WORLD`.

    Raises:
        ConfigError: It has one of the forbidden bits.
    """
    permissions = stat.S_IMODE(mode)
    if not permissions & forbidden:
        return
    who = "others than its owner" if forbidden == NOBODY_ELSE else "everybody on this machine"
    allowed = "600" if forbidden == NOBODY_ELSE else "640"
    raise ConfigError(
        f"{field}: {path} can be used by {who} (its mode is {permissions:04o})",
        field=field,
        hint=f"make it private: chmod {allowed} {path}; the bridge's user must be able to read it",
    )


def read_secret(field: str, path: Path) -> str:
    """Return the password in a file. One newline at its end is not part of it.

    Args:
        field: The setting or the option that names the file.
        path: The file.

    Raises:
        ConfigError: It cannot be read, everybody may use it, it is empty, longer than MQTT's length
            field can say, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            require_private(field, path, mode, NOT_THE_WORLD)
            content = file.read(PASSWORD_BYTES + 3)
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{field}: {path} cannot be read: {error}", field=field) from error
    if not 0 < len(password.encode()) <= PASSWORD_BYTES:
        raise ConfigError(
            f"{field}: {path} is empty or holds more than {PASSWORD_BYTES} bytes", field=field
        )
    return password
