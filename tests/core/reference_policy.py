"""What a table of policies says, the slow and obvious way: regular expressions over whole paths.

For patterns without quotes and escapes only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import NamedTuple


class ReferenceRule(NamedTuple):
    """A rule as it is written: the path without its section."""

    device: str
    path: str
    policy: str


def matches_twin(device: str, twin: str) -> bool:
    """Tell whether a device pattern matches a twin, which is `device` or `device/name`."""
    return _twin_expression(device).fullmatch(twin) is not None


def matches_path(pattern: str, path: tuple[str, ...]) -> bool:
    """Tell whether a path pattern matches a whole path."""
    text = "".join(f"{key}." for key in path)
    return _path_expression(pattern).fullmatch(text) is not None


@cache
def _twin_expression(device: str) -> re.Pattern[str]:
    return re.compile(_glob(device) + ("" if "/" in device else "(/.*)?"))


@cache
def _path_expression(pattern: str) -> re.Pattern[str]:
    *levels, last = pattern.split(".")
    expression = "".join(rf"{_glob(level)}\." for level in levels)
    expression += r"([^.]*\.)+" if last == "**" else rf"{_glob(last)}\."
    return re.compile(expression)


def _glob(text: str) -> str:
    return "[^./]*".join(map(re.escape, text.split("*")))


def more_specific(one: ReferenceRule, other: ReferenceRule) -> bool:
    """Tell whether, of two rules that match the same path, the one counts."""
    one_levels = [*_device_levels(one.device), *one.path.split(".")]
    other_levels = [*_device_levels(other.device), *other.path.split(".")]
    for one_level, other_level in zip(one_levels, other_levels, strict=False):
        if _before(one_level, other_level):
            return True
        if _before(other_level, one_level):
            return False
    return False


def _device_levels(device: str) -> list[str]:
    """Return device and name; no name is like `**`: it says nothing at all."""
    levels = device.split("/")
    return levels if len(levels) == 2 else [*levels, "**"]


def _before(one: str, other: str) -> bool:
    """Tell whether a level is more specific than another one."""
    if "*" not in one or "*" not in other:
        return "*" not in one and "*" in other
    if other == "**" or one == "**":
        return one != "**"
    return len(one.replace("*", "")) > len(other.replace("*", ""))


def policy_of(rules: list[ReferenceRule], twin: str, path: tuple[str, ...]) -> str:
    """Return what the one rule says that is more specific than all others that match."""
    matching = [r for r in rules if matches_twin(r.device, twin) and matches_path(r.path, path)]
    if not matching:
        return "latest"
    (best,) = (
        rule
        for rule in matching
        if all(other is rule or more_specific(rule, other) for other in matching)
    )
    return best.policy


def has_tie(
    rules: list[ReferenceRule], twins: tuple[str, ...], paths: tuple[tuple[str, ...], ...]
) -> bool:
    """Tell whether two rules match the same path of the same twin and neither counts."""
    return any(
        _twins_of(one.device, twins) & _twins_of(other.device, twins)
        and _paths_of(one.path, paths) & _paths_of(other.path, paths)
        and not more_specific(one, other)
        and not more_specific(other, one)
        for one, other in combinations(rules, 2)
    )


@cache
def _twins_of(device: str, twins: tuple[str, ...]) -> frozenset[str]:
    return frozenset(twin for twin in twins if matches_twin(device, twin))


@cache
def _paths_of(pattern: str, paths: tuple[tuple[str, ...], ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(path for path in paths if matches_path(pattern, path))


def table_of(rules: list[ReferenceRule], section: str) -> Mapping[str, Mapping[str, str]]:
    """Return the rules as they stand in a configuration, for one section."""
    table: dict[str, dict[str, str]] = {}
    for rule in rules:
        table.setdefault(rule.device, {})[f"{section}.{rule.path}"] = rule.policy
    return table
