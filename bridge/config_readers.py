"""What is wrong with the list `sealing.readers`, said with the lines of the file."""

from __future__ import annotations

from bridge.config_settings import nearest
from bridge.config_yaml import Rows
from bridge.core.readers import WORDS, ReadersError
from bridge.errors import ConfigError

NAME = "sealing.readers"


def readers_error(error: ReadersError, rows: Rows, origin: str) -> ConfigError:
    """Say which entry is not allowed, where it stands, and what to do.

    Args:
        error: What is wrong.
        rows: What was read.
        origin: Where the list begins.
    """
    field, source = NAME, origin
    if error.index is not None:
        field = rows.name(NAME, error.index, error.word)
        source = rows.origin(error.index, error.word)
    meant = nearest(error.word, WORDS) if error.is_unknown else None
    return ConfigError(
        f"{field} from {source} is not allowed: {error.reason}",
        field=field,
        source=source,
        hint=f"did you mean {meant}?" if meant else "",
    )
