"""What is wrong with the table `compression`, said with the lines of the file."""

from __future__ import annotations

from bridge.config_settings import nearest
from bridge.config_yaml import Table
from bridge.core.compression import CompressionError
from bridge.errors import ConfigError

NAME = "compression"


def compression_error(error: CompressionError, table: Table, origin: str) -> ConfigError:
    """Say which line is not allowed, where it stands, and what to do.

    Args:
        error: What is wrong.
        table: What was read.
        origin: Where the table begins.
    """
    source = table.origin(*error.keys) if error.keys else origin
    field = ".".join((NAME, *error.keys))
    meant = nearest(error.unknown, error.known) if error.unknown else None
    return ConfigError(
        f"{field} from {source} is not allowed: {error.reason}",
        field=field,
        source=source,
        hint=f"did you mean {meant}?" if meant else "",
    )
