"""Kinds of device from a YAML file: see `lamp.yaml` beside this file, and docs/simulator.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bridge.device import JsonValue
from device_sim.declarations import Item, Members, near
from device_sim.kinds.base import Field, Kind
from device_sim.kinds.drifts import (
    Among,
    Battery,
    Daily,
    Drift,
    Fixed,
    Rising,
    Subset,
    Uptime,
    Walk,
)
from device_sim.kinds.settings import Between, Numbers, Setting, Switch, Word

KINDS_MAX = 1_000
"""Kinds in one file at most."""

DECIMALS_MAX = 15
"""A 64-bit float has no more."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
"""A kind's name begins its devices' ids."""

_DEFAULT_INTERVAL_S = 60.0

_Made = TypeVar("_Made")


def read_kinds(path: Path) -> dict[str, Kind]:
    """Read kinds from a file.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong; the message names file, line
            and field.
    """
    return {kind.name: kind for kind in kinds_in(Members.of_file(path))}


def kinds_in(members: Members) -> list[Kind]:
    """Return the kinds that a file declares.

    Raises:
        ConfigError: Something in it is wrong.
    """
    if not 1 <= len(members.keys()) <= KINDS_MAX:
        members.item.fail(f"from 1 to {KINDS_MAX} kinds are expected here")
    return [_kind(name, item) for name, item in members.each()]


def _kind(name: str, item: Item) -> Kind:
    if not NAME.match(name):
        item.fail("a kind's name is 1 to 64 of A-Z a-z 0-9 _ -, and begins with a letter or digit")
    members = item.members()
    about = members.take("about").text()
    every = members.take_if("every")
    sleep = members.take_if("sleep_after")
    fields_item = members.take("fields")
    messages_item = members.take_if("messages")
    members.end()
    fields = tuple(_field(path, each) for path, each in fields_item.members().each())
    if not fields:
        fields_item.fail("at least one field is needed")
    messages = _messages(messages_item, fields)
    interval_s = every.duration_s() if every is not None else _DEFAULT_INTERVAL_S
    if every is not None and interval_s <= 0:
        every.fail("it is above 0")
    return _made(
        item,
        lambda: Kind(
            name, about, fields, messages, interval_s, sleep.duration_s() if sleep else None
        ),
    )


def _field(path: str, item: Item) -> Field:
    keys = path.split(".")
    if not all(keys) or any(key.startswith("$") for key in keys):
        item.fail("a field's path is keys with dots between them; none is empty or begins with $")
    members = item.members()
    unit = members.take_if("unit")
    obeys = members.take_if("obeys")
    restart = members.take_if("restarts")
    ways = [(way, members.take(way)) for way in members.keys() if way in DRIFTS]  # noqa: SIM118
    if not ways:
        unknown = members.keys()
        hint = near(unknown[0], DRIFTS) if unknown else f"one of {', '.join(DRIFTS)}"
        item.fail("it does not say how the field changes", hint)
    _known(members, DRIFTS)
    if len(ways) > 1:
        ways[1][1].fail(f"the field changes as {ways[0][0]} says already")
    ((way, how),) = ways
    if restart is not None and obeys is None:
        restart.fail("what obeys nothing needs no restart")
    return Field(
        path,
        _made(how, lambda: DRIFTS[way](how)),
        _setting(obeys) if obeys is not None else None,
        unit=unit.text() if unit is not None else "",
        restart_s=restart.duration_s() if restart is not None else None,
    )


def _known(members: Members, further: dict[str, Callable[[Item], Drift]]) -> None:
    for name in further:
        members.take_if(name)
    members.end()


def _messages(
    item: Item | None, fields: tuple[Field, ...]
) -> tuple[tuple[tuple[str, ...], float], ...]:
    """Return what goes together; where nothing is said, everything in one message."""
    if item is None:
        return ((tuple(".".join(each.path) for each in fields), 1.0),)
    messages = tuple(_message(each, fields) for each in item.items())
    if not any(weight > 0 for _, weight in messages):
        item.fail("at least one message with a weight above 0 is needed")
    return messages


def _message(item: Item, fields: tuple[Field, ...]) -> tuple[tuple[str, ...], float]:
    members = item.members()
    listed = members.take("fields").items()
    weight = members.take_if("weight")
    members.end()
    paths = [".".join(each.path) for each in fields]
    beginnings = []
    for each in listed:
        beginning = each.text()
        if not any(path == beginning or path.startswith(beginning + ".") for path in paths):
            each.fail(f"no field is {beginning!r}, or lies below it", near(beginning, paths))
        beginnings.append(beginning)
    if not beginnings:
        item.fail("a message has at least one field")
    return tuple(beginnings), float(weight.number(0)) if weight is not None else 1.0


def _setting(item: Item) -> Setting:
    if item.is_scalar:
        item.name_of(["switch"])
        return Switch()
    members = item.members()
    if len(members.keys()) != 1:
        item.fail("one of switch, between, words, numbers is expected")
    (way,) = members.keys()
    if way not in SETTINGS:
        item.fail(f"{way!r} is not known here", near(way, SETTINGS))
    how = members.take(way)
    return _made(how, lambda: SETTINGS[way](how))


def _made(item: Item, make: Callable[[], _Made]) -> _Made:
    """Make something of an item, and name the item in what is wrong with it."""
    try:
        return make()
    except ValueError as error:
        item.fail(str(error))


def _decimals(members: Members, default: int) -> int:
    item = members.take_if("decimals")
    return default if item is None else item.integer(0, DECIMALS_MAX)


def _number(members: Members, key: str, low: float = float("-inf")) -> float:
    return members.take(key).number(low)


def _walk(item: Item) -> Drift:
    members = item.members()
    made = (_number(members, "low"), _number(members, "high"), _number(members, "stride", 0))
    decimals = _decimals(members, 1)
    members.end()
    return Walk(*made, decimals)


def _daily(item: Item) -> Drift:
    members = item.members()
    made = (_number(members, "mean"), _number(members, "swing"), _number(members, "noise", 0))
    decimals = _decimals(members, 1)
    members.end()
    return Daily(*made, decimals)


def _rising(item: Item) -> Drift:
    members = item.members()
    per_hour, start_below = _number(members, "per_hour", 0), members.take_if("start_below")
    decimals = _decimals(members, 0)
    members.end()
    return Rising(per_hour, start_below.number(0) if start_below is not None else 0, decimals)


def _uptime(item: Item) -> Drift:
    item.members().end()
    return Uptime()


def _battery(item: Item) -> Drift:
    members = item.members()
    per_hour, flat = _number(members, "per_hour", 0), members.take_if("flat")
    members.end()
    return Battery(per_hour, flat.duration_s() if flat is not None else 0.0)


def _among(item: Item) -> Drift:
    members = item.members()
    values: tuple[JsonValue, ...] = tuple(each.value() for each in members.take("values").items())
    change = members.take_if("change")
    members.end()
    return Among(values, change.share()) if change is not None else Among(values)


def _subset(item: Item) -> Drift:
    members = item.members()
    numbers = tuple(each.integer() for each in members.take("of").items())
    share = members.take_if("share")
    members.end()
    return Subset(numbers, share.share()) if share is not None else Subset(numbers)


def _fixed(item: Item) -> Drift:
    return Fixed(item.value())


def _between(item: Item) -> Setting:
    members = item.members()
    low, high = _number(members, "low"), _number(members, "high")
    decimals = _decimals(members, 0)
    members.end()
    return Between(low, high, decimals)


def _words(item: Item) -> Setting:
    return Word(tuple(each.text() for each in item.items()))


def _numbers(item: Item) -> Setting:
    members = item.members()
    made = (members.take("low").integer(), members.take("high").integer())
    most = members.take("most").integer(0)
    members.end()
    return Numbers(*made, most)


DRIFTS: dict[str, Callable[[Item], Drift]] = {
    "fixed": _fixed,
    "walk": _walk,
    "daily": _daily,
    "rising": _rising,
    "uptime": _uptime,
    "battery": _battery,
    "among": _among,
    "subset": _subset,
}
"""How a field may change, by the word in a file."""

SETTINGS: dict[str, Callable[[Item], Setting]] = {
    "between": _between,
    "words": _words,
    "numbers": _numbers,
}
"""What a field may obey beside `switch`, by the word in a file."""
