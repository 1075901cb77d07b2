"""The schemas in force, read when a bridge starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bridge.config import Config
from bridge.core.update import SectionName
from bridge.logs import get_logger

if TYPE_CHECKING:
    from bridge.core.model import Models
    from bridge.schema.model import SchemaModel

_log = get_logger("bridge.schemas")


def make_models(config: Config) -> Models | None:
    """Read every schema of the configuration, once; None where there is none.

    Raises:
        ConfigError: A file cannot be read, or is no schema.
    """
    files = config.schemas.files
    if not files:
        return None
    # Imported only where there are schemas: the library takes 0.1 s and some MiB.
    from bridge.schema.reading import read_schema
    from bridge.schema.table import SchemaRule, Schemas

    read: dict[tuple[Path, SectionName], SchemaModel] = {}
    rules = []
    for entry in files:
        key = entry.file, entry.section
        if key not in read:
            read[key] = read_schema(*key)
        rules.append(SchemaRule(entry.pattern, entry.section, read[key]))
    _log.info("schemas are in force", entries=len(rules), files=len({file for file, _ in read}))
    return Schemas(rules)
