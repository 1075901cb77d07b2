"""`syncbridge acl emqx`: the list is in Erlang's grammar, and lets through what it should.

EMQX is not here to be asked. Its documentation says: the first rule that matches counts, a topic
is compared with a filter level by level, a filter that is subscribed to as if it were a topic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge.cli.emqx import CONFIGURATION
from tests.cli.conftest import Run
from tests.cli.principals import BRIDGE, READS, SENDERS, WRITES, every_topic, twin_topics

_RULE = re.compile(
    r"\{(?P<permission>allow|deny), (?P<who>all|\{user, \"[^\"]+\"\})"
    r"(?:, (?P<action>all|publish|subscribe), \[(?P<topics>[^\]]*)\])?\}\.",
)


class Rule(NamedTuple):
    """A rule of an `acl.conf`."""

    permission: str
    who: str
    action: str
    topics: tuple[str, ...]


def rules(text: str) -> Iterator[Rule]:
    """The rules of a list, every character of which is a rule's, a comment's or white space."""
    bare = re.sub(r"^%%.*$", "", text, flags=re.MULTILINE)
    assert not _RULE.sub("", bare).strip()
    for match in _RULE.finditer(bare):
        topics = tuple(re.findall(r'"([^"]*)"', match["topics"] or '"#"'))
        who = match["who"].removeprefix('{user, "').removesuffix('"}')
        yield Rule(match["permission"], who, match["action"] or "all", topics)


def matches(asked: str, allowed: str) -> bool:
    """Compare as EMQX does, also where what is asked for is a filter."""
    names, levels = asked.split("/"), allowed.split("/")
    for position, level in enumerate(levels):
        if level == "#":
            return True
        if position >= len(names) or level not in ("+", names[position]):
            return False
    return len(names) == len(levels)


def allows(listed: list[Rule], login: str, action: str, topic: str) -> bool:
    """Whether the first rule that matches allows it."""
    for rule in listed:
        if rule.who in ("all", login) and rule.action in ("all", action):
            filters = (text.replace("${username}", login) for text in rule.topics)
            if any(matches(topic, text) for text in filters):
                return rule.permission == "allow"
    raise AssertionError("the last rule is for everything")


@pytest.fixture
def listed(run: Run, permissions: Path) -> list[Rule]:
    """The rules that are printed."""
    return list(rules(run("acl", "emqx", "--file", str(permissions)).out))


@pytest.mark.parametrize("sender", SENDERS)
def test_each_login_publishes_where_the_list_for_emqx_lets_it(
    listed: list[Rule], sender: str
) -> None:
    """As with the other brokers."""
    found = {topic for topic in every_topic() if allows(listed, sender, "publish", topic)}
    assert found == WRITES[sender]


@pytest.mark.parametrize("reader", SENDERS)
def test_each_login_subscribes_to_what_the_list_for_emqx_lets_it(
    listed: list[Rule], reader: str
) -> None:
    """And what its subscriptions match is what it may read."""
    topics = every_topic()
    filters = ["#", "sync/#", "+/#", "sync/+/#", "sync/+/+", "sync/+/+/+", "sync/lamp-1/#", *topics]
    filters += [f"sync/{one}/{two}state" for one in ("+", "lamp-1") for two in ("", "+/")]
    filters += [f"sync/+/{two}{verb}" for two in ("", "+/") for verb in ("delta", "event")]
    granted = [text for text in filters if allows(listed, reader, "subscribe", text)]
    found = {topic for topic in topics if any(matches(topic, text) for text in granted)}
    expected = READS[reader]
    if reader == "anna":
        # EMQX does not look at what it hands out: one exception closes a subscription to all.
        expected = expected - twin_topics(["lamp-1"], "state", "delta", "event")
    assert found == expected


def test_the_bridge_may_do_everything_below_its_prefix(listed: list[Rule]) -> None:
    """And who is none of the names may do nothing but be a device."""
    assert allows(listed, BRIDGE, "publish", "sync/lamp-1/state")
    assert allows(listed, BRIDGE, "subscribe", "sync/+/report")
    assert not allows(listed, BRIDGE, "publish", "other/topic")
    assert listed[-1] == Rule("deny", "all", "all", ("#",))


def test_names_are_quoted_as_erlang_has_it(run: Run, permissions: Path) -> None:
    """A prefix may have a quotation mark."""
    out = run("acl", "emqx", "--file", str(permissions), "--prefix", 'a"b\\c').out
    assert '"a\\"b\\\\c/#"' in out


def test_the_settings_refuse_what_no_rule_allows(run: Run, permissions: Path) -> None:
    """And name the list."""
    out = run("acl", "emqx", "--file", str(permissions), "--print", "configuration").out
    assert out == CONFIGURATION
    assert "no_match = deny" in out
    assert 'type = file, enable = true, path = "etc/acl.conf"' in out
    assert out.count("{") == out.count("}")
