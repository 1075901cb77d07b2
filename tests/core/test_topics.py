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


IDENTIFIER = "1 to 128 of A-Z a-z 0-9 . _ : @ ~ - and not starting with a dot"
DEVICE = f"a device id is {IDENTIFIER}"
NAME = f"a twin's name is {IDENTIFIER}, and not a verb"
SENDER = f"a sender's name is {IDENTIFIER}, and not a verb"
VERB = "it ends in none of report, desire, get, delete, presence"


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("other/lamp-1/report", "it is not below sync/"),
        ("sync", "it is not below sync/"),
        ("sync/lamp-1", "a device id and a verb are expected"),
        ("sync//report", DEVICE),
        ("sync/.hidden/report", DEVICE),
        ("sync/lamp 1/report", DEVICE),
        ("sync/lämp/report", DEVICE),
        (f"sync/{'x' * 129}/report", DEVICE),
        ("sync/$bridge/status", DEVICE),
        ("sync/lamp-1/state", VERB),
        ("sync/lamp-1/report/extra", "nothing follows report"),
        ("sync/lamp-1/presence/extra", "nothing follows presence"),
        ("sync/lamp-1/desire", "desire is followed by the name of who sends it"),
        ("sync/lamp-1/desire/a/b", "desire is followed by the name of who sends it"),
        ("sync/lamp-1/desire/state", SENDER),
        ("sync/lamp-1/desire/meta", SENDER),
        ("sync/lamp-1/state/report", VERB),
        ("sync/lamp-1/enrol/report", NAME),
        ("sync/lamp-1/config/presence", "presence is the device's, not a named twin's"),
        ("sync/lamp-1/config", VERB),
        ("sync/lamp-1/report\n", NAME),
    ],
)
def test_every_other_shape_is_refused_with_the_reason(topic: str, why: str) -> None:
    """A 400 that repeats the topic."""
    assert GRAMMAR.parse(topic) == Refusal(400, "bad_topic", f"topic {topic!r}: {why}")


@pytest.mark.parametrize(("length", "shown"), [(200, "x" * 200), (201, "x" * 200 + "…")])
def test_a_refusal_repeats_no_more_of_a_topic_than_its_start(length: int, shown: str) -> None:
    """A topic may have 65,535 characters, and anybody may send it."""
    assert GRAMMAR.parse("x" * length) == Refusal(
        400, "bad_topic", f"topic '{shown}': it is not below sync/"
    )


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


def test_a_twin_is_written_as_its_device_and_its_name() -> None:
    """The unnamed one as the device alone."""
    assert str(TwinKey("lamp-1")) == "lamp-1"
    assert str(TwinKey("lamp-1", "config")) == "lamp-1/config"


def test_a_prefix_may_have_several_levels() -> None:
    """The same grammar below it."""
    grammar = TopicGrammar("plant/7/sync")
    assert grammar.prefix == "plant/7/sync"
    assert grammar.topic(TwinKey("d", "n"), "state") == "plant/7/sync/d/n/state"
    assert grammar.status == "plant/7/sync/$bridge/status"
    assert grammar.doctor == "plant/7/sync/$bridge/doctor"


def test_the_bridge_subscribes_to_what_is_meant_for_it() -> None:
    """Of unnamed and of named twins; presence is the device's alone."""
    assert TopicGrammar().filters() == (
        "sync/+/report",
        "sync/+/desire/+",
        "sync/+/get/+",
        "sync/+/delete/+",
        "sync/+/+/report",
        "sync/+/+/desire/+",
        "sync/+/+/get/+",
        "sync/+/+/delete/+",
    )
    assert TopicGrammar().presence_filter() == "sync/+/presence"


@pytest.mark.parametrize("prefix", ["", "a//b", "/a", "a/", "a/+/b", "#", "a/b#", "a\0b", "$SYS/x"])
def test_a_prefix_that_cannot_work_is_an_error(prefix: str) -> None:
    """It is named in the message."""
    with pytest.raises(ValueError, match="topic prefix") as caught:
        TopicGrammar(prefix)
    assert str(caught.value) == (
        f"topic prefix {prefix!r}: one or more levels, none of them empty, without + or # and "
        "not starting with $"
    )


def test_a_prefix_may_hold_letters_of_any_kind() -> None:
    """Only the signs of MQTT are taken."""
    assert TopicGrammar("XX/ä").prefix == "XX/ä"


def test_a_device_that_asks_for_its_key_is_found_by_its_topic() -> None:
    """Of every other topic nothing is."""
    grammar = TopicGrammar("plant/7")
    assert grammar.enrol_filter() == "plant/7/+/enrol"
    assert grammar.enrolling("plant/7/lamp-1/enrol") == "lamp-1"
    for topic in (
        "plant/7/enrol",
        "plant/7//enrol",
        "plant/7/a/b/enrol",
        "sync/a/enrol",
        "plant/7/.a/enrol",
        "plant/7/a/report",
        "plant/7/a b/enrol",
        "enrol",
        "",
    ):
        assert grammar.enrolling(topic) is None
