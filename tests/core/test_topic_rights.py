"""Brokers that look at subscriptions only, or can deny nothing, show nobody more either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given

from bridge.core.broker_rights import broker_rights, rights_of_login
from bridge.core.permissions import Permissions
from bridge.core.topic_rights import AMQTT, EMQX, Broker, Kind, TopicRight
from tests.core.test_broker_rights import _SENDERS, ALL_READ, lines
from tests.core.test_permissions import _GROUPS, _KEYS, _PRINCIPALS, _RULES, make
from tests.support.examples import examples

_VERBS = ("state", "delta", "event")


def matches(asked: Sequence[str], allowed: Sequence[str]) -> bool:
    """Whether a topic, or a filter level by level as if it were one, is among the allowed."""
    return len(asked) == len(allowed) and all(
        level in ("+", name) for level, name in zip(allowed, asked, strict=True)
    )


def subscribed(rights: Sequence[TopicRight]) -> Iterator[tuple[str, ...]]:
    """What a login may subscribe to: each allowed filter, as it is and narrower."""
    denied = [right.levels for right in rights if right.kind == "deny"]
    for right in rights:
        if right.kind != "read":
            continue
        narrower = [tuple(_filled(right.levels, str(key).split("/"))) for key in _KEYS]
        for asked in {right.levels, *narrower}:
            if not any(matches(asked, levels) for levels in denied):
                yield asked


def _filled(levels: Sequence[str], names: Sequence[str]) -> list[str]:
    return [
        names[position] if level == "+" and position < len(names) else level
        for position, level in enumerate(levels)
    ]


def writes(rights: Sequence[TopicRight], topic: str) -> bool:
    """Whether a login may publish to a topic."""
    levels = topic.split("/")

    def is_among(kind: Kind) -> bool:
        return any(right.kind == kind and matches(levels, right.levels) for right in rights)

    return is_among("write") and not is_among("deny")


def _check(permissions: Permissions, broker: Broker) -> None:
    for sender in _SENDERS:
        rights = rights_of_login(permissions, sender, broker)
        filters = list(subscribed(rights))
        for key in _KEYS:
            access = permissions.access(sender, key)
            for verb in _VERBS:
                topic = (*str(key).split("/"), verb)
                if any(matches(topic, asked) for asked in filters):
                    assert access.grant("desired", "read").is_whole
                    assert access.reads_all or verb == "delta"
            for allowed, verb in (
                (access.grant("desired", "write").is_some, "desire"),
                (access.reads_some, "get"),
                (access.deletes, "delete"),
            ):
                assert not allowed or writes(rights, f"{key}/{verb}/{sender}")
                assert not writes(rights, f"{key}/{verb}/somebody")
            assert sender == key.device or not writes(rights, f"{key}/report")
            assert not any(writes(rights, f"{key}/{verb}") for verb in _VERBS)


@pytest.mark.parametrize("broker", [EMQX, AMQTT])
@given(rules=_RULES)
@examples(150)
def test_what_may_be_subscribed_to_shows_no_more_than_may_be_read(
    broker: Broker, rules: list[tuple[str, str, str, str]]
) -> None:
    """For whatever rules; and what may be written is open."""
    _check(make(rules, groups=_GROUPS, principals=_PRINCIPALS), broker)


def test_one_denial_closes_a_wider_subscription() -> None:
    """Where the broker does not look at what it hands out."""
    rules = (*ALL_READ, ("anna", "lamp-9", "reported.a", "deny read"))
    rights = broker_rights(make(rules), "%u", EMQX)
    assert not {"read +/state", "read +/event"} & {*lines(rights.of_principals["anna"])}
    assert "read +/delta" in lines(rights.of_principals["anna"])
    assert [narrowed.rule.line for narrowed in rights.narrowed] == [1, 2, 3]


def test_a_broker_without_denials_has_none_and_lists_them() -> None:
    """What is denied whole of one device is left to the bridge where all others may be written."""
    rules = (
        ("anna", "*", "desired.**", "write"),
        ("anna", "lamp-1", "desired.**", "deny write"),
    )
    found = rights_of_login(make(rules), "anna", AMQTT)
    assert {right.kind for right in found} == {"read", "write"}
    assert "write +/desire/anna" in lines(found)
    assert [each.rule.line for each in broker_rights(make(rules), "%u", AMQTT).narrowed] == [2]
    alone = make((("anna", "lamp-1", "desired.a", "write"), rules[1]))
    assert "write lamp-1/desire/anna" not in lines(rights_of_login(alone, "anna", AMQTT))
