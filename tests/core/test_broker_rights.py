"""What the broker allows is enough for the permissions, and shows nobody more than they do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given

from bridge.core.broker_rights import BrokerRights, broker_rights
from bridge.core.permissions import Permissions
from bridge.core.topic_rights import Kind, TopicRight
from bridge.core.topics import TwinKey
from tests.core.test_permissions import _GROUPS, _KEYS, _PRINCIPALS, _RULES, make
from tests.support.examples import examples

LOGIN = "%u"
_SENDERS = (*_PRINCIPALS, "nobody", "operators", "lamp-2", "plug")


def lines(rights: Sequence[TopicRight]) -> list[str]:
    """The rights as one would write them."""
    return [f"{right.kind} {'/'.join(right.levels)}" for right in rights]


class Broker:
    """What a broker with these rights lets a login do: its own lines first, denials before all."""

    def __init__(self, rights: BrokerRights) -> None:
        self._rights = rights

    def allows(self, login: str, kind: Kind, topic: str) -> bool:
        """Tell whether a login may read or write a topic."""
        own = self._rights.of_principals.get(login, ())
        levels = tuple(topic.split("/"))
        if any(right.kind == "deny" and _matches(right, levels, "") for right in own):
            return False
        return any(
            right.kind == kind and _matches(right, levels, name)
            for rights, name in ((own, ""), (self._rights.of_all, login))
            for right in rights
        )


def _matches(right: TopicRight, levels: tuple[str, ...], login: str) -> bool:
    wanted = [login if level == LOGIN and login else level for level in right.levels]
    return len(wanted) == len(levels) and all(
        level in ("+", name) for level, name in zip(wanted, levels, strict=True)
    )


def _topic(key: TwinKey, *rest: str) -> str:
    return "/".join((str(key), *rest))


def _check(permissions: Permissions) -> None:
    broker = Broker(broker_rights(permissions, LOGIN))
    for sender in _SENDERS:
        for key in _KEYS:
            access = permissions.access(sender, key)
            # What is written may be open wider, and never closed.
            for allowed, verb in (
                (access.grant("desired", "write").is_some, "desire"),
                (access.reads_some, "get"),
                (access.deletes, "delete"),
            ):
                if allowed:
                    assert broker.allows(sender, "write", _topic(key, verb, sender)), verb
                    assert broker.allows(sender, "read", _topic(key, "reply", sender))
            if sender == key.device and access.grant("reported", "write").is_some:
                assert broker.allows(sender, "write", _topic(key, "report"))
            # What is read may be closed, and never open wider.
            if broker.allows(sender, "read", _topic(key, "state")):
                assert access.reads_all
            if broker.allows(sender, "read", _topic(key, "event")):
                assert access.reads_all
            if broker.allows(sender, "read", _topic(key, "delta")):
                assert access.grant("desired", "read").is_whole
            _check_that_nobody_is_forged(broker, sender, key)


def _check_that_nobody_is_forged(broker: Broker, sender: str, key: TwinKey) -> None:
    other = "anna" if sender != "anna" else "bert"
    for verb in ("desire", "get", "delete"):
        assert not broker.allows(sender, "write", _topic(key, verb, other))
    for verb in ("state", "delta", "event", "resync", "key", "reply/" + sender):
        assert not broker.allows(sender, "write", _topic(key, verb))
    assert not broker.allows(sender, "read", _topic(key, "reply", other))
    if sender != key.device:
        for verb in ("report", "presence", "enrol"):
            assert not broker.allows(sender, "write", _topic(key, verb))
    assert not broker.allows(sender, "write", "$bridge/status")


@given(rules=_RULES)
@examples(400)
def test_a_broker_opens_what_may_be_written_and_shows_no_more_than_may_be_read(
    rules: list[tuple[str, str, str, str]],
) -> None:
    """For whatever rules, declared principals, devices and others."""
    _check(make(rules, groups=_GROUPS, principals=_PRINCIPALS))


ALL_READ = (("anna", "*", "reported.**", "read"), ("anna", "*", "desired.**", "read"))


def test_who_may_read_everything_subscribes() -> None:
    """To the state, the delta and the events of every twin."""
    rights = broker_rights(make(ALL_READ), LOGIN)
    found = lines(rights.of_principals["anna"])
    for verb in ("state", "delta", "event"):
        assert {f"read +/{verb}", f"read +/+/{verb}"} <= {*found}
    assert rights.narrowed == ()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (("anna", "lamp-9", "reported.a", "deny read"), ["deny lamp-9/state", "deny lamp-9/event"]),
        (("anna", "lamp-9/setup", "desired.a", "deny read"), ["deny lamp-9/setup/delta"]),
    ],
)
def test_what_is_denied_of_one_device_is_taken_out(
    rule: tuple[str, str, str, str], expected: list[str]
) -> None:
    """The others stay open."""
    rights = broker_rights(make((*ALL_READ, rule)), LOGIN)
    found = lines(rights.of_principals["anna"])
    assert {*expected, "read +/state"} <= {*found}
    assert found[0].startswith("deny ")


def test_what_is_denied_of_some_devices_closes_them_all() -> None:
    """A broker knows no part of a level; where only `reported` is denied, deltas stay open."""
    rule = ("anna", "secret-*", "reported.a", "deny read")
    rights = broker_rights(make((*ALL_READ, rule)), LOGIN)
    found = lines(rights.of_principals["anna"])
    assert not {"read +/state", "read +/event"} & {*found}
    assert {"read +/delta", "write +/get/anna"} <= {*found}
    assert [narrowed.rule.line for narrowed in rights.narrowed] == [1, 2, 3]


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        (("anna", "lamp-1", "desired.**", "write"), None),
        (("anna", "*", "desired.*", "write"), None),
        (("self", "*", "desired.**", "write"), None),
        (("everyone", "*", "desired.**", "write"), None),
        (("anna", "lamp-1", "desired.**", "deny write"), None),
        (("anna", "lamp-1", "desired.on", "write"), "the topic is open"),
        (("anna", "lamp-*", "desired.**", "write"), "the topic is open"),
        (("self", "lamp-1", "desired.**", "write"), "the topic is open"),
        (("everyone", "*", "desired.**", "deny write"), "the bridge refuses"),
        (("anna", "lamp-1", "desired.on", "deny write"), "the bridge refuses"),
        (("anna", "lamp-1", "reported.**", "write"), "only a device reports"),
        (("anna", "lamp-1", "desired.**", "read"), "get shows"),
        (("anna", "lamp-1", "desired.**", "deny read"), "get shows"),
    ],
)
def test_a_rule_that_the_broker_cannot_express_is_listed(
    rule: tuple[str, str, str, str], how: str | None
) -> None:
    """With what happens instead; the others are not."""
    narrowed = broker_rights(make([rule]), LOGIN).narrowed
    if how is None:
        assert narrowed == ()
    else:
        assert [each.rule.line for each in narrowed] == [1]
        assert how in narrowed[0].how[0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (("anna", "lamp-1", "desired.**", "deny write"), "deny lamp-1/desire/anna"),
        (("anna", "*/setup", "desired.**", "deny write"), "deny +/setup/desire/anna"),
        (("anna", "*", "reported.**", "deny write"), "deny anna/report"),
    ],
)
def test_what_is_denied_whole_the_broker_denies(
    rule: tuple[str, str, str, str], expected: str
) -> None:
    """Before the message gets to the bridge."""
    rights = broker_rights(make([("anna", "*", "desired.**", "write"), rule]), LOGIN)
    assert expected in lines(rights.of_principals["anna"])
