"""What a broker has to allow, for the permissions to hold (design section 8).

A broker knows topics and logins, and no paths; and of a topic whole levels, not parts of one. So
for what is published it is given more than the permissions say, and the bridge refuses the rest;
for what is read it is given less, because what the broker hands out the bridge cannot take back:
`state`, `delta` and `event` only to who may read all that can stand there, and `get` to the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bridge.core.pattern import DevicePattern, level_matches
from bridge.core.permission_rules import (
    EVERYONE,
    SELF,
    CompiledPermission,
    PermissionRule,
    Right,
)
from bridge.core.permissions import Permissions
from bridge.core.topic_rights import (
    ANY_TEXT,
    MOSQUITTO,
    Broker,
    TopicRight,
    covers,
    is_exact,
    overlap,
    twin_levels,
    twin_topics,
    without_denials,
)
from bridge.core.update import SECTIONS, SectionName

STATUS: Final = ("$bridge", "status")
"""The topic, below the prefix, on which the bridge says that it is there."""

DICTIONARY: Final = ("$bridge", "dictionary")
"""The topic, below the prefix, on which the bridge names the current dictionary; and below it the
dictionaries themselves."""

_SHOWS: Final[dict[str, tuple[SectionName, ...]]] = {
    "state": SECTIONS,
    "delta": ("desired",),
    "event": SECTIONS,
}
"""What stands on the topics of a twin."""


class Narrowed(NamedTuple):
    """A rule that the broker cannot express.

    Attributes:
        rule: The rule.
        how: What the broker does, and what the bridge does, for writing and for reading.
    """

    rule: PermissionRule
    how: tuple[str, ...]


class BrokerRights(NamedTuple):
    """What the broker has to allow.

    Attributes:
        of_principals: For each principal by its name; denials first.
        of_all: For every login; a level that is the login's name is the one asked for.
        narrowed: What is left to the bridge, in the order of the file.
    """

    of_principals: dict[str, tuple[TopicRight, ...]]
    of_all: tuple[TopicRight, ...]
    narrowed: tuple[Narrowed, ...]


_OPEN: Final = "the topic is open to it; what may be written there, the bridge decides"
_CLOSED: Final = "state, delta or event are closed to it; get shows what may be read"
_REFUSED: Final = "the bridge refuses what is denied"
_DELETES: Final = "only a device reports; of use with all of desired, to delete the twin"


def broker_rights(permissions: Permissions, login: str, broker: Broker = MOSQUITTO) -> BrokerRights:
    """Return what a broker has to allow.

    Args:
        permissions: Their default is `deny`: what is open otherwise, no list can say.
        login: What stands for the name of whoever is logged in, such as `%u`.
        broker: What it can do.
    """
    of_principals = {
        principal: tuple(_unique(_of_principal(permissions, principal, broker)))
        for principal in permissions.principals
    }
    of_all = tuple(_unique(_of_all(permissions, login)))
    narrowed = tuple(_narrowed(permissions, of_principals, broker))
    return BrokerRights(of_principals, of_all, narrowed)


def rights_of_login(
    permissions: Permissions, login: str, broker: Broker = MOSQUITTO
) -> tuple[TopicRight, ...]:
    """Return what a broker that knows no pattern has to allow to one login; denials first.

    Args:
        permissions: Their default is `deny`.
        login: A principal's, or else a device's.
        broker: What it can do.
    """
    own = permissions.principals
    of_principal = _of_principal(permissions, login, broker) if login in own else iter(())
    rights = _unique((*of_principal, *_of_all(permissions, login)))
    return tuple(rights if broker.denies else without_denials(rights))


def _unique(rights: Iterable[TopicRight]) -> list[TopicRight]:
    return sorted(dict.fromkeys(rights), key=lambda right: right.kind != "deny")


def _dictionaries() -> Iterator[TopicRight]:
    """Yield where what is compressed with a dictionary can be read."""
    yield TopicRight("read", DICTIONARY)
    yield TopicRight("read", (*DICTIONARY, "+"))


def _of_principal(permissions: Permissions, principal: str, broker: Broker) -> Iterator[TopicRight]:
    subjects = permissions.subjects_of(principal)
    rules = [rule for rule in permissions.rules if rule.rule.subject in subjects]
    own = [rule for rule in rules if rule.rule.subject != EVERYONE]
    rules += _at(principal, (rule for rule in permissions.rules if rule.rule.subject == SELF))
    yield TopicRight("read", STATUS)
    yield from _asking(own, rules, principal)
    here = [rule for rule in own if level_matches(rule.device.device, principal)]
    if _may_write_whole(here, "desired"):
        yield from twin_topics("write", DevicePattern((principal,), None), "delete", principal)
    for device in dict.fromkeys(rule.device for rule in _allowing(rules, "read")):
        for verb, sections in _SHOWS.items():
            if not is_exact(device) or not _reads_whole(rules, device, sections):
                continue
            excepted = [rule for rule in _denied(rules, sections) if overlap(rule.device, device)]
            if excepted and not broker.checks_deliveries:
                continue
            yield from twin_topics("read", device, verb)
            for rule in excepted:
                yield from twin_topics("deny", rule.device, verb)
    yield from _denials(rules, principal)


def _denials(rules: Iterable[CompiledPermission], principal: str) -> Iterator[TopicRight]:
    """Yield what is taken from a principal that every login has, or that its own rules give."""
    rules = list(rules)
    twins = DevicePattern((principal,), None)
    for verb, sections in _SHOWS.items():
        if any(overlap(rule.device, twins) for rule in _denied(rules, sections)):
            yield from twin_topics("deny", twins, verb)
    for rule in rules:
        if not rule.denies or "write" not in rule.rights or not rule.is_whole:
            continue
        if rule.path.section == "reported" and covers(rule.device, twins):
            yield from twin_topics("deny", twins, "report")
        elif rule.path.section == "desired" and is_exact(rule.device):
            yield from twin_topics("deny", rule.device, "desire", principal)
            yield from twin_topics("deny", rule.device, "delete", principal)


def _at(login: str, of_self: Iterable[CompiledPermission]) -> list[CompiledPermission]:
    """Return the rules for `self` as they are for the device of that name."""
    return [
        rule._replace(device=DevicePattern((login,), rule.device.name))
        for rule in of_self
        if level_matches(rule.device.device, login)
    ]


def _of_all(permissions: Permissions, login: str) -> Iterator[TopicRight]:
    twins = DevicePattern((login,), None)
    yield from twin_topics("write", twins, "report")
    yield from twin_topics("write", twins, "get", login)
    yield from twin_topics("read", twins, "reply", login)
    yield from twin_topics("read", twins, "resync")
    yield TopicRight("write", (login, "presence"))
    yield TopicRight("write", (login, "enrol"))
    yield TopicRight("read", (login, "key"))
    yield from _dictionaries()
    everyone = [rule for rule in permissions.rules if rule.rule.subject == EVERYONE]
    of_self = [rule for rule in permissions.rules if rule.rule.subject == SELF]
    for verb in ("state", "delta"):
        if not any(_denied(everyone + of_self, _SHOWS[verb])):
            yield from twin_topics("read", twins, verb)
    yield from _asking(everyone, everyone, login)
    # Whichever devices they are for: a list knows no part of a login.
    here = [rule._replace(device=twins._replace(name=rule.device.name)) for rule in of_self]
    yield from _asking(here, here + everyone, login)
    if _may_write_whole(here + everyone, "desired"):
        # To report is a device's own: with all of `desired` it may write everything.
        yield from twin_topics("write", twins, "delete", login)


def _asking(
    rules: Iterable[CompiledPermission], all_rules: Iterable[CompiledPermission], name: str
) -> Iterator[TopicRight]:
    """Yield what a sender publishes to, and where it is answered.

    Args:
        rules: Those that it is for.
        all_rules: All that hold for the sender.
        name: The sender's.
    """
    all_rules = list(all_rules)
    may_delete = all(_may_write_whole(all_rules, section) for section in SECTIONS)
    for rule in rules:
        if rule.denies:
            continue
        verbs = []
        if "write" in rule.rights and rule.path.section == "desired":
            verbs.append("desire")
        if "read" in rule.rights:
            verbs.append("get")
        if "write" in rule.rights and rule.is_whole and may_delete:
            verbs.append("delete")
        for verb in verbs:
            yield from twin_topics("write", rule.device, verb, name)
        if verbs:
            yield from twin_topics("read", rule.device, "reply", name)


def _may_write_whole(rules: Iterable[CompiledPermission], section: SectionName) -> bool:
    return any(rule.is_whole for rule in _allowing(rules, "write", section))


def _allowing(
    rules: Iterable[CompiledPermission], right: Right, section: SectionName | None = None
) -> Iterator[CompiledPermission]:
    for rule in rules:
        if not rule.denies and right in rule.rights and section in (None, rule.path.section):
            yield rule


def _denied(
    rules: Iterable[CompiledPermission], sections: tuple[SectionName, ...]
) -> Iterator[CompiledPermission]:
    """Yield the rules by which something in the sections may not be read."""
    for rule in rules:
        if rule.denies and "read" in rule.rights and rule.path.section in sections:
            yield rule


def _reads_whole(
    rules: list[CompiledPermission], device: DevicePattern, sections: tuple[SectionName, ...]
) -> bool:
    """Tell whether all of the sections may be read of every twin, but for exceptions."""
    for section in sections:
        allowing = _allowing(rules, "read", section)
        if not any(rule.is_whole and covers(rule.device, device) for rule in allowing):
            return False
    return all(
        is_exact(rule.device) and not covers(rule.device, device)
        for rule in _denied(rules, sections)
        if overlap(rule.device, device)
    )


def _narrowed(
    permissions: Permissions, of_principals: dict[str, tuple[TopicRight, ...]], broker: Broker
) -> Iterator[Narrowed]:
    for rule in sorted(permissions.rules, key=lambda one: (one.rule.line, one.rule)):
        how = []
        can_say = broker.denies or not rule.denies
        if "write" in rule.rights and not (can_say and _is_written_so(rule)):
            how.append(_how_written(rule))
        if "read" in rule.rights and (
            rule.denies or not _is_shown(permissions, rule, of_principals)
        ):
            how.append(_CLOSED)
        if how:
            yield Narrowed(rule.rule, tuple(how))


def _is_written_so(rule: CompiledPermission) -> bool:
    """Tell whether a right to write, or its denial, is what the broker does."""
    if rule.path.section == "reported" or not (rule.is_whole and is_exact(rule.device)):
        return False
    if rule.rule.subject == SELF:
        return not rule.denies and rule.device == DevicePattern(ANY_TEXT, None)
    return not (rule.denies and rule.rule.subject == EVERYONE)


def _how_written(rule: CompiledPermission) -> str:
    if rule.denies:
        return _REFUSED
    return _DELETES if rule.path.section == "reported" else _OPEN


def _is_shown(
    permissions: Permissions,
    rule: CompiledPermission,
    of_principals: dict[str, tuple[TopicRight, ...]],
) -> bool:
    """Tell whether all for whom a rule is can subscribe to everything that it lets them read."""
    subject = rule.rule.subject
    if subject in (SELF, EVERYONE) or not (rule.is_whole and is_exact(rule.device)):
        return False
    wanted = {
        TopicRight("read", (*levels, verb))
        for verb in ("state", "delta", "event")
        for levels in twin_levels(rule.device)
    }
    return all(
        wanted <= set(rights)
        for name, rights in of_principals.items()
        if subject in permissions.subjects_of(name)
    )
