"""Files that hold a secret: who else may use them."""

from __future__ import annotations

import stat
from pathlib import Path

from bridge.errors import ConfigError

NOBODY_ELSE = 0o077
"""Bits of a mode that a private key has none of."""

NOT_THE_WORLD = 0o007
"""Bits of a mode that a password has none of: mounted secrets are often readable for a group."""


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
