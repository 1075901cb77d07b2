"""Reading YAML with the line of everything, and nothing given twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from bridge.errors import ConfigError

FILE_BYTES = 1024 * 1024
"""Largest configuration file: a thousand times what a real one has."""

_NULL_TAG = "tag:yaml.org,2002:null"


class Entry(NamedTuple):
    """One member of a mapping.

    Attributes:
        name: With the names of the mappings that it stands in, dotted.
        key: Its own name.
        line: Where it stands, from 1.
        node: Its value.
    """

    name: str
    key: str
    line: int
    node: yaml.Node


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping of mappings of texts, as it stands in a file.

    Attributes:
        entries: What it holds.
        lines: Line of each outer key, and of each outer and inner key.
        file: The file.
    """

    entries: Mapping[str, Mapping[str, str]]
    lines: Mapping[tuple[str, ...], int]
    file: Path

    def origin(self, *keys: str) -> str:
        """Return where an outer key, or an outer and inner key, stands."""
        return f"file {self.file}:{self.lines[keys]}"


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of mappings of texts, as it stands in a file.

    Attributes:
        entries: What it holds.
        lines: For each entry the line where it begins, by an empty key, and that of each key.
        file: The file.
    """

    entries: Sequence[Mapping[str, str]]
    lines: Sequence[Mapping[str, int]]
    file: Path

    def origin(self, index: int, key: str = "") -> str:
        """Return where an entry, or a key of it, stands."""
        return f"file {self.file}:{self.lines[index][key]}"

    @staticmethod
    def name(rows: str, index: int, key: str = "") -> str:
        """Return how an entry, or a key of it, is named: entries are counted from 1."""
        return f"{rows}[{index + 1}].{key}" if key else f"{rows}[{index + 1}]"


def parse_file(path: Path, hint: str = "see --config") -> yaml.Node | None:
    """Parse a file without making values of what is written; None for an empty one.

    Args:
        path: The file.
        hint: Where it can be named, if it cannot be read.

    Raises:
        ConfigError: It cannot be read, is too large, or is not YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
        if len(content) > FILE_BYTES:
            raise ConfigError(f"{path} is larger than {FILE_BYTES} bytes", source=str(path))
        return yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", source=str(path), hint=hint
        ) from error
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path} is not YAML: {_flat(error)}",
            source=str(path),
            hint='what begins with * stands in quotes: "*"' if " alias" in str(error) else "",
        ) from error


def _flat(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def is_empty(node: yaml.Node) -> bool:
    """Tell whether nothing was written: an empty value, or a mapping of comments only."""
    return node.tag == _NULL_TAG


def entries(node: yaml.Node, name: str, path: Path, hint: str) -> Iterator[Entry]:
    """Yield the lines of a mapping.

    Args:
        node: What should be one.
        name: Its dotted name; empty for the whole file.
        path: The file.
        hint: How to write it.

    Raises:
        ConfigError: It is no mapping, or has a key twice.
    """
    where = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{name or 'the file'} in {where} is not a mapping of settings",
            field=name,
            source=where,
            hint=hint,
        )
    seen: dict[str, int] = {}
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
        full = f"{name}.{key}" if name else key
        if key in seen:
            raise ConfigError(
                f"{full} is set twice in {path}: in lines {seen[key]} and {line}",
                field=full,
                source=f"{path}:{line}",
                hint="remove one of them",
            )
        seen[key] = line
        yield Entry(full, key, line, value)


def read_table(table: Entry, path: Path, hint: str) -> Table:
    """Read a mapping of mappings of texts.

    Args:
        table: What should be one.
        path: The file.
        hint: How to write it.

    Raises:
        ConfigError: It has another shape, or a key twice.
    """
    read: dict[str, dict[str, str]] = {}
    lines: dict[tuple[str, ...], int] = {}
    for group in entries(table.node, table.name, path, hint):
        members = read[group.key] = {}
        lines[group.key,] = group.line
        if is_empty(group.node):
            continue
        for member in _single_values(group.node, group.name, path, hint):
            members[member.key] = member.node.value
            lines[group.key, member.key] = member.line
    return Table(read, lines, path)


def read_rows(rows: Entry, path: Path, hint: str) -> Rows:
    """Read a list of mappings of texts.

    Args:
        rows: What should be one.
        path: The file.
        hint: How to write it.

    Raises:
        ConfigError: It has another shape, or an entry has a key twice.
    """
    if not isinstance(rows.node, yaml.SequenceNode):
        source = f"file {path}:{rows.line}"
        raise ConfigError(
            f"{rows.name} in {source} is not a list", field=rows.name, source=source, hint=hint
        )
    read: list[dict[str, str]] = []
    lines: list[dict[str, int]] = []
    for index, node in enumerate(rows.node.value):
        members = [*_single_values(node, Rows.name(rows.name, index), path, hint)]
        read.append({member.key: member.node.value for member in members})
        lines.append(
            {"": node.start_mark.line + 1} | {member.key: member.line for member in members}
        )
    return Rows(read, lines, path)


def _single_values(node: yaml.Node, name: str, path: Path, hint: str) -> Iterator[Entry]:
    """Yield the lines of a mapping of texts."""
    for member in entries(node, name, path, hint):
        if not isinstance(member.node, yaml.ScalarNode) or is_empty(member.node):
            source = f"file {path}:{member.line}"
            raise ConfigError(
                f"{member.name} in {source} is not a single value",
                field=member.name,
                source=source,
                hint=hint,
            )
        yield member
