"""The schemas in force, read when a bridge starts, and when it is asked to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bridge.config import Config
from bridge.core.update import SectionName
from bridge.logs import get_logger

if TYPE_CHECKING:
    from bridge.schema.model import SchemaModel
    from bridge.schema.table import Schemas

_log = get_logger("bridge.schemas")


def make_models(config: Config) -> Schemas | None:
    """Read every schema of the configuration, once, and say so; None where there is none.

    Raises:
        ConfigError: A file cannot be read, or is no schema.
    """
    if not config.schemas.files:
        return None
    schemas = read_schemas(config)
    announce_schemas(config)
    return schemas


def read_schemas(config: Config) -> Schemas:
    """Read every schema of the configuration, once.

    Raises:
        ConfigError: A file cannot be read, or is no schema.
    """
    # Imported only where there are schemas: the library takes 0.1 s and some MiB.
    from bridge.schema.reading import read_schema
    from bridge.schema.table import SchemaRule, Schemas

    read: dict[tuple[Path, SectionName], SchemaModel] = {}
    rules = []
    for entry in config.schemas.files:
        key = entry.file, entry.section
        if key not in read:
            read[key] = read_schema(*key)
        rules.append(SchemaRule(entry.pattern, entry.section, read[key]))
    return Schemas(rules)


def count_schemas(config: Config) -> dict[str, object]:
    """Return how many entries the table has, and how many files are in it."""
    files = config.schemas.files
    return {"entries": len(files), "files": len({entry.file for entry in files})}


def announce_schemas(config: Config) -> None:
    """Say in the log that schemas are in force."""
    _log.info("schemas are in force", **count_schemas(config))
