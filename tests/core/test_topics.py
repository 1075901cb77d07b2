"""The topic grammar, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.refusal import Refusal
from bridge.core.topics import InboundTopic, TopicGrammar, TwinKey, is_name
from tests.support.examples import examples

GRAMMAR = TopicGrammar("sync")
identifiers = st.from_regex(r"[A-Za-z0-9_:@~-][A-Za-z0-9._:@~-]{0,20}", fullmatch=True)
names = identifiers.filter(is_name)


@pytest.mark.parametrize(
    ("topic", "parsed"),
    [
        ("sync/lamp-1/report", (TwinKey("lamp-1"), "report", "lamp-1")),
        ("sync/lamp-1/desire/app", (TwinKey("lamp-1"), "desire", "app")),
        ("sync/a:b@c~d_e/get/me", (TwinKey("a:b@c~d_e"), "get", "me")),
        ("sync/lamp-1/delete/app", (TwinKey("lamp-1"), "delete", "app")),
        ("sync/lamp-1/presence", (TwinKey("lamp-1"), "presence", "lamp-1")),
        ("sync/lamp-1/config/report", (TwinKey("lamp-1", "config"), "report", "lamp-1")),
        ("sync/lamp-1/config/desire/app", (TwinKey("lamp-1", "config"), "desire", "app")),
        ("sync/report/report", (TwinKey("report"), "report", "report")),
    ],
)
def test_topics_of_the_contract_are_understood(
    topic: str, parsed: tuple[TwinKey, str, str]
) -> None:
    """Device, name, verb and sender."""
    assert GRAMMAR.parse(topic) == InboundTopic(*parsed)


@pytest.mark.parametrize(
    "topic",
    [
        "other/lamp-1/report",
        "sync",
        "sync/lamp-1",
        "sync//report",
        "sync/.hidden/report",
        "sync/lamp 1/report",
        "sync/lämp/report",
        f"sync/{'x' * 129}/report",
        "sync/lamp-1/state",
        "sync/lamp-1/report/extra",
        "sync/lamp-1/desire",
        "sync/lamp-1/desire/state",
        "sync/lamp-1/desire/meta",
        "sync/lamp-1/desire/a/b",
        "sync/lamp-1/state/report",
        "sync/lamp-1/enrol/report",
        "sync/lamp-1/config/presence",
        "sync/lamp-1/config",
        "sync/$bridge/status",
        "sync/lamp-1/report\n",
    ],
)
def test_every_other_shape_is_refused_with_the_reason(topic: str) -> None:
    """A 400 that repeats the topic."""
    refusal = GRAMMAR.parse(topic)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.error) == (400, "bad_topic")


@given(identifiers, st.one_of(st.just(""), names), names)
@examples(100)
def test_what_is_built_is_parsed_back(device: str, name: str, sender: str) -> None:
    """For every device, name and sender of the grammar."""
    key = TwinKey(device, name)
    assert GRAMMAR.parse(GRAMMAR.topic(key, "report")) == InboundTopic(key, "report", device)
    for verb in ("desire", "get", "delete"):
        topic = GRAMMAR.topic(key, verb, sender)
        assert GRAMMAR.parse(topic) == InboundTopic(key, verb, sender)


@given(st.text(max_size=40))
@examples(100)
def test_no_text_makes_the_parser_fail(text: str) -> None:
    """It answers with a topic or a refusal."""
    assert isinstance(GRAMMAR.parse("sync/" + text), InboundTopic | Refusal)


def test_a_prefix_may_have_several_levels() -> None:
    """The same grammar below it."""
    grammar = TopicGrammar("plant/7/sync")
    assert grammar.topic(TwinKey("d", "n"), "state") == "plant/7/sync/d/n/state"
    assert grammar.status == "plant/7/sync/$bridge/status"
    assert grammar.filters()[0] == "plant/7/sync/+/report"
    assert grammar.filters()[-1] == "plant/7/sync/+/+/delete/+"
    assert len(grammar.filters()) == 8


@pytest.mark.parametrize("prefix", ["", "a//b", "/a", "a/", "a/+/b", "#", "$SYS/x"])
def test_a_prefix_that_cannot_work_is_an_error(prefix: str) -> None:
    """It is named in the message."""
    with pytest.raises(ValueError, match="topic prefix"):
        TopicGrammar(prefix)
