"""What can be said of a setting: its dotted name, its variable, its flag, what it accepts.

Read from the declarations in `bridge.config_models`, so that nothing is written twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bridge.config_models import Config

VARIABLE_PREFIX = "SYNCBRIDGE_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: Dotted, as in `bridge.yaml`: `limits.depth`.
        description: What it means and why it is there.
        default: As one would write it; empty where there is none.
        allowed: What values are accepted, in words.
        secret: Its value is never shown, and only the environment may hold it.
        is_path: It names a file.
        is_list: It is a list of mappings; of what is no single value.
    """

    name: str
    description: str
    default: str
    allowed: str
    secret: bool
    is_path: bool
    is_list: bool = False

    @property
    def variable(self) -> str:
        """Name of its environment variable."""
        return VARIABLE_PREFIX + self.name.replace(".", "_").upper()

    @property
    def flag(self) -> str:
        """Name of its flag on the command line."""
        return "--" + self.name.replace(".", "-").replace("_", "-")


def _settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _settings_of(annotation, f"{prefix}{name}.")
        elif not _is_table(field):
            yield _setting(prefix + name, field)


def _tables_of(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _tables_of(annotation, f"{prefix}{name}.")
        elif _is_table(field):
            yield _setting(prefix + name, field)


def _is_table(field: FieldInfo) -> bool:
    return bool(_extra(field).get("table"))


def _extra(field: FieldInfo) -> Mapping[str, object]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _setting(name: str, field: FieldInfo) -> Setting:
    kinds = _kinds(field.annotation)
    return Setting(
        name=name,
        description=field.description or "",
        default="" if _is_table(field) else _default(field.default),
        allowed=_allowed(field),
        secret=SecretStr in kinds,
        is_path=Path in kinds,
        is_list=_extra(field).get("table") == "list",
    )


def _default(value: object) -> str:
    if value is None:
        return ""
    # As one writes it in the file.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kinds(annotation: object) -> tuple[object, ...]:
    """Return the types of a union without None, or the one type."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for kind in get_args(annotation) if kind is not type(None))
    return (annotation,)


def _allowed(field: FieldInfo) -> str:
    extra = _extra(field)
    if "allowed" in extra:
        return str(extra["allowed"])
    kind = _kinds(field.annotation)[0]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    low, high = _bounds(field)
    if kind is int:
        return f"an integer from {low} to {high}"
    if kind is float:
        return f"a number from {low} to {high}"
    if kind is bool:
        return "true or false"
    if kind is Path:
        return "a path"
    return f"text of at most {high} characters" if high else "text"


def _bounds(field: FieldInfo) -> tuple[object, object]:
    low: object = None
    high: object = None
    for bound in field.metadata:
        low = getattr(bound, "ge", low)
        high = getattr(bound, "le", getattr(bound, "max_length", high))
    return low, high


SETTINGS: Mapping[str, Setting] = MappingProxyType({s.name: s for s in _settings_of(Config)})
"""Every setting by its dotted name, in the order of the declarations."""

SECTIONS: frozenset[str] = frozenset(name.split(".")[0] for name in SETTINGS if "." in name)
"""The names that hold settings rather than being one."""


TABLES: Mapping[str, Setting] = MappingProxyType({t.name: t for t in _tables_of(Config)})
"""What is no single value, by its dotted name: it can stand in the configuration file only."""


def nearest(unknown: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, or None.

    The last level counts by itself too, so that a setting in the wrong section is found.
    """
    names = list(known)
    close = difflib.get_close_matches(unknown, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    by_last_level = {name.rsplit(".", 1)[-1]: name for name in reversed(names)}
    last = unknown.rsplit(".", 1)[-1]
    close = difflib.get_close_matches(last, list(by_last_level), n=1, cutoff=0.75)
    return by_last_level[close[0]] if close else None
