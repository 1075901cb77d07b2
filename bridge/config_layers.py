"""The places that settings come from, each read into the same form: name -> value and origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from bridge.config_settings import (
    SECTIONS,
    SETTINGS,
    TABLES,
    VARIABLE_PREFIX,
    Setting,
    nearest,
)
from bridge.config_yaml import Entry, entries, is_empty, parse_file, read_rows, read_table
from bridge.errors import ConfigError

CONFIG_VARIABLE = "SYNCBRIDGE_CONFIG"
"""Names the configuration file, as --config does."""

# Ours, but not settings: where the file is, and what the test suite asks of the machine.
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "SYNCBRIDGE_REQUIRE_SERVICES"})

# Kubernetes puts these into every container of a namespace that has a service named syncbridge
# (its documentation calls them service links). They are nobody's typing errors.
_SERVICE_LINK = re.compile(
    r"SYNCBRIDGE_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)\Z"
)

_IN_THE_FILE_ONLY = "it is more than one value: write it into the configuration file"


class Value(NamedTuple):
    """A raw value and where it came from."""

    raw: object
    origin: str


def from_flags(flags: Mapping[str, object]) -> dict[str, Value]:
    """Read the flags, by dotted name; None means that the flag was not given.

    Raises:
        ConfigError: A name is unknown, or a secret.
    """
    layer = {}
    for name, raw in flags.items():
        setting = SETTINGS.get(name)
        if setting is None:
            raise _unknown(name, "the command line", [*SETTINGS, *SECTIONS])
        if raw is None:
            continue
        if setting.secret:
            raise _misplaced_secret(setting, f"flag {setting.flag}")
        layer[name] = Value(raw, f"flag {setting.flag}")
    return layer


def from_environment(environment: Mapping[str, str]) -> dict[str, Value]:
    """Read the variables that begin with SYNCBRIDGE_; an empty one counts as not set.

    Raises:
        ConfigError: One of them is no setting.
    """
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    tables = {table.variable for table in TABLES.values()}
    layer = {}
    for variable, text in environment.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            if _SERVICE_LINK.match(variable):
                continue
            raise ConfigError(
                f"environment variable {variable} is not a setting",
                field=variable,
                source="the environment",
                hint=_IN_THE_FILE_ONLY
                if variable in tables
                else _did_you_mean(nearest(variable, by_variable)),
            )
        if text:
            layer[setting.name] = Value(text, f"environment {variable}")
    return layer


def from_file(path: Path) -> dict[str, Value]:
    """Read a YAML file; paths in it are relative to its directory.

    Raises:
        ConfigError: It cannot be read, is not YAML, names something unknown or something twice.
    """
    root = parse_file(path)
    if root is None:
        return {}
    layer = {}
    for entry in _named(root, path):
        origin = f"file {path}:{entry.line}"
        if entry.name in TABLES:
            if not is_empty(entry.node):
                table = TABLES[entry.name]
                read = read_rows if table.is_list else read_table
                layer[entry.name] = Value(read(entry, path, f"allowed is {table.allowed}"), origin)
            continue
        setting = SETTINGS[entry.name]
        if setting.secret:
            raise _misplaced_secret(setting, origin)
        layer[entry.name] = Value(_scalar(entry, setting, path, origin), origin)
    return layer


def _scalar(entry: Entry, setting: Setting, path: Path, origin: str) -> object:
    if not isinstance(entry.node, yaml.ScalarNode):
        raise ConfigError(
            f"{entry.name} in {origin} is not a single value",
            field=entry.name,
            source=origin,
            hint=f"allowed is {setting.allowed}",
        )
    if is_empty(entry.node):
        return None
    # The text as written, not YAML's idea of it: `12:30` is no number, and `on` no truth value.
    text: str = entry.node.value
    return path.parent / text if setting.is_path and not text.startswith("~") else text


def _named(root: yaml.Node, path: Path) -> Iterator[Entry]:
    """Yield every setting and table of the document."""
    names = [*SETTINGS, *SECTIONS, *TABLES]
    for entry in entries(root, "", path, "write `name: value` lines"):
        name = entry.name
        if name not in names:
            raise _unknown(name, f"{path}:{entry.line}", names)
        if name not in SECTIONS:
            yield entry
        # A section of which every line may be commented out.
        elif not is_empty(entry.node):
            for inner in entries(entry.node, name, path, f"write {name}: and lines below it"):
                if inner.name not in SETTINGS and inner.name not in TABLES:
                    raise _unknown(inner.name, f"{path}:{inner.line}", names)
                yield inner


def _unknown(name: str, source: str, known: Iterable[str]) -> ConfigError:
    meant = nearest(name, known)
    return ConfigError(
        f"{name} in {source} is not a setting", field=name, source=source, hint=_did_you_mean(meant)
    )


def _did_you_mean(name: str | None) -> str:
    return f"did you mean {name}?" if name else "`syncbridge config` lists all settings"


def _misplaced_secret(setting: Setting, source: str) -> ConfigError:
    return ConfigError(
        f"{setting.name} may not be given by {source}, where others can read it",
        field=setting.name,
        source=source,
        hint=f"set {setting.variable} or {setting.name}_file",
    )
