"""The places that settings come from, each read into the same form: name -> value and origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from bridge.config_settings import SECTIONS, SETTINGS, VARIABLE_PREFIX, Setting, nearest
from bridge.errors import ConfigError

CONFIG_VARIABLE = "SYNCBRIDGE_CONFIG"
"""Names the configuration file, as --config does."""

FILE_BYTES = 1024 * 1024
"""Largest configuration file: a thousand times what a real one has."""

# Ours, but not settings: where the file is, and what the test suite asks of the machine.
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "SYNCBRIDGE_REQUIRE_SERVICES"})

# Kubernetes puts these into every container of a namespace that has a service named syncbridge
# (its documentation calls them service links). They are nobody's typing errors.
_SERVICE_LINK = re.compile(
    r"SYNCBRIDGE_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)\Z"
)

_NULL_TAG = "tag:yaml.org,2002:null"


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
            raise _unknown(name, "the command line")
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
    layer = {}
    for variable, text in environment.items():
        if not variable.startswith(VARIABLE_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            if _SERVICE_LINK.match(variable):
                continue
            meant = nearest(variable, by_variable)
            raise ConfigError(
                f"environment variable {variable} is not a setting",
                field=variable,
                source="the environment",
                hint=_did_you_mean(meant),
            )
        if text:
            layer[setting.name] = Value(text, f"environment {variable}")
    return layer


def from_file(path: Path) -> dict[str, Value]:
    """Read a YAML file; paths in it are relative to its directory.

    Raises:
        ConfigError: It cannot be read, is not YAML, names something unknown or something twice.
    """
    root = _parse(path)
    if root is None:
        return {}
    layer = {}
    for name, node in _leaves(root, path):
        origin = f"file {path}:{node.start_mark.line + 1}"
        setting = SETTINGS[name]
        if setting.secret:
            raise _misplaced_secret(setting, origin)
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(
                f"{name} in {origin} is not a single value",
                field=name,
                source=origin,
                hint=f"allowed is {setting.allowed}",
            )
        # The text as written, not YAML's idea of it: `12:30` is no number, and `on` no truth value.
        raw: object = None if node.tag == _NULL_TAG else node.value
        if setting.is_path and isinstance(raw, str) and not raw.startswith("~"):
            raw = path.parent / raw
        layer[name] = Value(raw, origin)
    return layer


def _parse(path: Path) -> yaml.Node | None:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
        if len(content) > FILE_BYTES:
            raise ConfigError(f"{path} is larger than {FILE_BYTES} bytes", source=str(path))
        return yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", source=str(path), hint="see --config"
        ) from error
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {_flat(error)}", source=str(path)) from error


def _flat(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _leaves(root: yaml.Node, path: Path) -> Iterator[tuple[str, yaml.Node]]:
    """Yield every setting of the document with its dotted name."""
    for name, node in _items(root, "", path):
        if name in SECTIONS:
            # A section of which every line is commented out.
            if node.tag != _NULL_TAG:
                yield from _items(node, f"{name}.", path)
        else:
            yield name, node


def _items(node: yaml.Node, prefix: str, path: Path) -> Iterator[tuple[str, yaml.Node]]:
    where = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        name = prefix.rstrip(".") or "the file"
        raise ConfigError(
            f"{name} in {where} is not a mapping of settings",
            field=prefix.rstrip("."),
            source=where,
            hint="write `name: value` lines" if not prefix else f"write {name}: and lines below it",
        )
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = prefix + (key.value if isinstance(key, yaml.ScalarNode) else "?")
        if name in seen:
            raise ConfigError(
                f"{name} is set twice in {path}: in lines {seen[name]} and {line}",
                field=name,
                source=f"{path}:{line}",
                hint="remove one of them",
            )
        if name not in SETTINGS and (prefix or name not in SECTIONS):
            raise _unknown(name, f"{path}:{line}")
        seen[name] = line
        yield name, value


def _unknown(name: str, source: str) -> ConfigError:
    meant = nearest(name, [*SETTINGS, *SECTIONS])
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
