"""The table `schemas`: which file holds for which section of which twins.

The files themselves are read when a bridge starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

from bridge.config_yaml import Table
from bridge.core.pattern import DevicePattern, PatternError, common_text, parse_device_pattern
from bridge.core.update import SECTIONS, SectionName
from bridge.errors import ConfigError

NAME: Final = "schemas"

SCHEMAS_IN_A_TABLE: Final = 200
"""Entries: a twin that comes into memory is held against each of their patterns."""


class SchemaFile(NamedTuple):
    """One entry of the table.

    Attributes:
        device: Device pattern, as written.
        section: Which section.
        file: The schema.
        pattern: The parsed device pattern.
    """

    device: str
    section: SectionName
    file: Path
    pattern: DevicePattern


class SchemaTableError(ValueError):
    """An entry is malformed, or ties with another one.

    Attributes:
        reason: What is wrong with it.
        keys: Where it stands: nothing, its device pattern, or that and its section.
    """

    def __init__(self, reason: str, *keys: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.keys = keys


class SchemaTable:
    """The table. Immutable.

    Attributes:
        files: Its entries, as they were written, in that order.
    """

    __slots__ = ("files",)

    def __init__(self, files: Sequence[SchemaFile] = ()) -> None:
        self.files: Final = tuple(files)

    @classmethod
    def parse(cls, table: Mapping[str, Mapping[str, str]]) -> SchemaTable:
        """Make a table from device pattern -> section -> file.

        Raises:
            SchemaTableError: An entry is malformed, or ties with another one.
        """
        files = [
            _entry(device, section, file)
            for device, sections in table.items()
            for section, file in sections.items()
        ]
        if len(files) > SCHEMAS_IN_A_TABLE:
            raise SchemaTableError(f"there are more than {SCHEMAS_IN_A_TABLE} entries")
        for one, other in combinations(files, 2):
            if one.section == other.section and _tie(one.pattern, other.pattern):
                raise SchemaTableError(
                    f"it ties with {one.device!r}: a twin can match both, and neither is more "
                    "specific",
                    other.device,
                    other.section,
                )
        return cls(files)

    def __eq__(self, other: object) -> bool:
        return self.files == other.files if isinstance(other, SchemaTable) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.files)

    def __repr__(self) -> str:
        return f"SchemaTable({self.files!r})"


NO_SCHEMAS: Final = SchemaTable()
"""The table without entries."""


def with_paths(table: Table) -> Mapping[str, Mapping[str, str]]:
    """Return what a table of the configuration file holds, with its files relative to that file."""
    return {
        device: {
            section: file if file.startswith("~") else str(table.file.parent / file)
            for section, file in sections.items()
        }
        for device, sections in table.entries.items()
    }


def schema_table_error(error: SchemaTableError, table: Table, origin: str) -> ConfigError:
    """Say which entry is not allowed, where it stands, and what to do.

    Args:
        error: What is wrong.
        table: What was read.
        origin: Where the table begins.
    """
    field = ".".join((NAME, *error.keys))
    source = table.origin(*error.keys) if error.keys else origin
    return ConfigError(
        f"{field} from {source} is not allowed: {error.reason}", field=field, source=source
    )


def _entry(device: str, section: str, file: str) -> SchemaFile:
    try:
        pattern = parse_device_pattern(device)
    except PatternError as error:
        raise SchemaTableError(str(error), device) from error
    for name in SECTIONS:
        if name == section:
            try:
                path = Path(file).expanduser()
            except RuntimeError as error:
                raise SchemaTableError(
                    "there is no such user's home directory", device, section
                ) from error
            return SchemaFile(device, name, path, pattern)
    raise SchemaTableError(
        f"{section!r} is no section: there are {', '.join(SECTIONS)}", device, section
    )


def _tie(one: DevicePattern, other: DevicePattern) -> bool:
    """Tell whether two patterns are as specific as each other, and can match the same twin."""
    if one.rank != other.rank or common_text(one.device, other.device) is None:
        return False
    if one.name is None or other.name is None:
        return True
    return common_text(one.name, other.name) is not None
