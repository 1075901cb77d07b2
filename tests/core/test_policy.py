"""Which policy holds where; which tables are refused; and that a table's memory is bounded."""

from __future__ import annotations

import weakref

import pytest

from bridge.core.limits import Limits
from bridge.core.policy import (
    NO_POLICIES,
    POLICIES,
    RULES_IN_A_TABLE,
    TWINS_REMEMBERED,
    Policies,
    PolicyError,
    Rule,
)
from bridge.core.rules import STEPS_REMEMBERED
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName

LIMITS = Limits()

TABLE = {
    "*": {
        "reported.counters.**": "sum",
        "reported.counters.name": "latest",
        "reported.*.peak": "max",
        'reported."a.*"': "union",
        "desired.mode": "app",
    },
    "meter-*": {"reported.temp-*.low": "min", "reported.temp-*": "first"},
    "meter-7": {"desired.**": "device"},
    "meter-7/setup": {"desired.mode": "refuse"},
    "*/setup": {"reported.**": "first"},
}


class Name(str):
    """A text of which can be told whether somebody still holds it."""

    __slots__ = ("__weakref__",)


def policy(policies: Policies, twin: str, path: str) -> str:
    """Return what holds at a path such as `reported.a.b`."""
    section: SectionName = "reported" if path.startswith("reported.") else "desired"
    rules = policies.rules(TwinKey(*twin.split("/")), section)
    for name in path.split(".")[1:]:
        rules = rules.step(name) if rules else None
    return rules.policy if rules else "latest"


@pytest.mark.parametrize(
    ("twin", "path", "expected"),
    [
        ("lamp", "reported.counters.a", "sum"),
        ("lamp", "reported.counters.a.b.c", "sum"),
        ("lamp", "reported.counters", "latest"),
        ("lamp", "reported.counters.name", "latest"),
        ("lamp", "reported.counters.name.x", "sum"),
        ("lamp", "reported.counters.peak", "sum"),
        ("lamp", "reported.x.peak", "max"),
        ("lamp", "reported.x.peak.y", "latest"),
        ("lamp", "reported.x.y", "latest"),
        ("lamp", "desired.counters.a", "latest"),
        ("lamp", "desired.mode", "app"),
        ("lamp/night", "desired.mode", "app"),
        ("lamp", "reported.temp-1", "latest"),
        ("meter-1", "reported.temp-1", "first"),
        ("meter-1", "reported.temp-", "first"),
        ("meter-1", "reported.temp-1.low", "min"),
        ("meter-1", "reported.temp-1.peak", "max"),
        ("meter-1", "reported.temp-1.x", "latest"),
        ("meter-1", "desired.mode", "app"),
        ("meter-7", "desired.mode", "device"),
        ("meter-7", "desired.a.b", "device"),
        ("meter-7/setup", "desired.mode", "refuse"),
        ("meter-7/setup", "desired.mode.x", "device"),
        ("meter-7/other", "desired.mode", "device"),
        ("meter-7/setup", "reported.temp-1.low", "min"),
        ("lamp/setup", "reported.counters.a", "first"),
        ("lamp/setup", "desired.mode", "app"),
    ],
)
def test_the_most_specific_rule_holds(twin: str, path: str, expected: str) -> None:
    """The device is compared first, then the name, then the path from its first key."""
    assert policy(Policies.parse(TABLE, LIMITS), twin, path) == expected


def test_a_quoted_star_is_a_star() -> None:
    """And a quoted dot is one."""
    rules = Policies.parse(TABLE, LIMITS).rules(TwinKey("lamp"), "reported")
    assert rules is not None
    quoted = rules.step("a.*")
    assert quoted is not None
    assert quoted.policy == "union"


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_can_be_given(name: str) -> None:
    """By its name."""
    policies = Policies.parse({"*": {"reported.a": name}}, LIMITS)
    assert policy(policies, "lamp", "reported.a") == name


def test_a_rule_may_stand_below_a_value_of_another_rule() -> None:
    """Objects are descended into: an aggregate owns its path, not what may lie below it."""
    policies = Policies.parse({"*": {"reported.a": "sum", "reported.a.b": "max"}}, LIMITS)
    assert policy(policies, "lamp", "reported.a") == "sum"
    assert policy(policies, "lamp", "reported.a.b") == "max"
    assert policy(policies, "lamp", "reported.a.c") == "latest"


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"*": {}},
        {"meter": {"reported.a": "sum"}},
        {"*/name": {"reported.a": "sum"}},
        {"*": {"desired.a": "sum"}},
        {"*": {"reported.a": "latest", "reported.**": "latest"}},
        {"lamp": {"reported.**": "latest"}, "*": {"reported.a": "sum", "reported.**": "max"}},
    ],
)
def test_where_nothing_but_latest_can_hold_there_are_no_rules(
    table: dict[str, dict[str, str]],
) -> None:
    """So that such twins cost nothing."""
    assert Policies.parse(table, LIMITS).rules(TwinKey("lamp"), "reported") is None


def test_below_what_rules_can_match_there_are_none() -> None:
    """The walk down a twin can stop there."""
    policies = Policies.parse({"*": {"reported.a.b": "sum", "reported.c*": "max"}}, LIMITS)
    rules = policies.rules(TwinKey("lamp"), "reported")
    assert rules is not None
    for name in ("x", "b", "A"):
        assert rules.step(name) is None
    for name in ("a", "c", "cc"):
        below = rules.step(name)
        assert below is not None
        assert below.step("x") is None


def test_a_table_remembers_what_was_written() -> None:
    """In its order; and tables are equal where that is."""
    table = {"*": {"reported.b": "sum", "reported.a": "max"}, "x": {"desired.a": "min"}}
    policies = Policies.parse(table, LIMITS)
    assert policies.table == (
        Rule("*", "reported.b", "sum"),
        Rule("*", "reported.a", "max"),
        Rule("x", "desired.a", "min"),
    )
    assert policies == Policies.parse(table, LIMITS)
    assert hash(policies) == hash(Policies.parse(table, LIMITS))
    assert policies != NO_POLICIES
    assert Policies.parse({}, LIMITS) == NO_POLICIES
    assert "reported.b" in repr(policies)


@pytest.mark.parametrize(
    ("table", "device", "path", "said"),
    [
        ({"a b": {}}, "a b", None, "'a b': no device id matches it"),
        ({"": {"reported.a": "sum"}}, "", None, "'': no device id matches it"),
        ({"a/get": {"reported.a": "sum"}}, "a/get", None, "no twin can be named 'get'"),
        ({"a": {"mode": "sum"}}, "a", "mode", "'mode' of 'a': a path begins with"),
        ({"a": {"": "sum"}}, "a", "", "'' of 'a': '' has an empty key"),
        ({"a": {"reported.a": "summ"}}, "a", "reported.a", "'summ' is no policy: there are latest"),
        ({"a": {"reported.a": ""}}, "a", "reported.a", "'' is no policy"),
    ],
)
def test_a_rule_that_is_wrong_is_named(
    table: dict[str, dict[str, str]], device: str, path: str | None, said: str
) -> None:
    """With both patterns and the reason."""
    with pytest.raises(PolicyError) as refused:
        Policies.parse(table, LIMITS)
    assert said in str(refused.value)
    assert (refused.value.device, refused.value.path) == (device, path)
    assert refused.value.other is None
    assert (refused.value.policy is not None) == ("is no policy" in said)


@pytest.mark.parametrize(
    ("one", "other", "both_match"),
    [
        (("*", "reported.a*"), ("*", "reported.*b"), "reported.ab of x"),
        (("a*", "reported.x"), ("*b", "reported.x"), "reported.x of ab"),
        (("a*", "reported.**"), ("*b", "reported.**"), "reported.x of ab"),
        (("a/x*", "reported.b"), ("a/*y", "reported.b"), "reported.b of a/xy"),
        (("*", "reported.a"), ("*", 'reported."a"'), "reported.a of x"),
        (("*", "reported.*.a*c"), ("*", "reported.*.*ac"), "reported.x.aac of x"),
        (("*", "reported.*a.b"), ("*", "reported.*a.\\b"), "reported.xa.b of x"),
        (("*", "desired.*$*"), ("*", "desired.\\**"), "desired.*$ of x"),
    ],
)
def test_two_rules_that_tie_are_both_named(
    one: tuple[str, str], other: tuple[str, str], both_match: str
) -> None:
    """With something that both match."""
    table: dict[str, dict[str, str]] = {}
    for device, path in (one, other):
        table.setdefault(device, {})[path] = "sum"
    with pytest.raises(PolicyError) as refused:
        Policies.parse(table, LIMITS)
    assert (refused.value.device, refused.value.path) == other
    assert refused.value.other == Rule(*one, "sum")
    assert f"ties with {one[1]!r} of {one[0]!r}: both match {both_match}," in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("*", "reported.a*"), ("*", "desired.*b")),
        (("*", "reported.a*"), ("*", "reported.b*")),
        (("*", "reported.*a"), ("*", "reported.*b")),
        (("a*", "reported.a*"), ("b*", "reported.*b")),
        (("a/x*", "reported.a*"), ("a/*y", "reported.b*")),
        (("a/*", "reported.a"), ("a", "reported.a")),
        (("*", "reported.a*"), ("*", "reported.*bb")),
        (("*", "reported.a*.x"), ("*", "reported.*b.y")),
        (("*", "reported.a*.x"), ("*", "reported.*b.*")),
        (("*", "reported.a*"), ("*", "reported.*b.**")),
        (("*", "reported.a*.**"), ("*", "reported.*b.x.**")),
        (("*", "reported.a"), ("*", "reported.a.**")),
    ],
)
def test_rules_that_never_meet_or_differ_in_rank_do_not_tie(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Whatever order they are written in."""
    for first, second in ((one, other), (other, one)):
        table: dict[str, dict[str, str]] = {}
        for device, path in (first, second):
            table.setdefault(device, {})[path] = "sum"
        assert len(Policies.parse(table, LIMITS).table) == 2


def test_a_table_has_a_largest_size() -> None:
    """All its rules are held against each other, and against each new twin."""
    largest = {f"meter-{n}-*": {"reported.a": "sum"} for n in range(RULES_IN_A_TABLE)}
    assert len(Policies.parse(largest, LIMITS).table) == RULES_IN_A_TABLE
    with pytest.raises(PolicyError, match=f"more than {RULES_IN_A_TABLE} rules") as refused:
        Policies.parse(largest | {"x": {"reported.a": "sum"}}, LIMITS)
    assert refused.value.device is None


def test_the_same_question_gets_the_same_object() -> None:
    """It was remembered: a step and a twin are one look-up each."""
    policies = Policies.parse(TABLE, LIMITS)
    rules = policies.rules(TwinKey("meter-1"), "reported")
    assert rules is not None
    assert policies.rules(TwinKey("meter-1"), "reported") is rules
    assert policies.rules(TwinKey("meter-2"), "reported") is rules, "the same patterns match"
    for name in ("counters", "temp-1", "x"):
        assert rules.step(name) is not None
        assert rules.step(name) is rules.step(name)
    assert rules.step("x") is rules.step("y"), "keys that no rule names lead to the same rules"
    below = rules.step("counters")
    assert below is not None
    deep = below.step("a")
    assert deep is not None
    assert deep.step("b") is deep, "below ** nothing new comes"


def test_keys_that_no_rule_tells_apart_are_not_remembered() -> None:
    """However many a device invents."""
    policies = Policies.parse({"*": {"reported.a.**": "sum", "reported.*.b": "max"}}, LIMITS)
    rules = policies.rules(TwinKey("lamp"), "reported")
    assert rules is not None
    alive: weakref.WeakSet[Name] = weakref.WeakSet()
    for number in range(100):
        name = Name(f"key-{number}")
        alive.add(name)
        below = rules.step(name)
        assert below is not None
        assert below.step(name) is None
    del name
    assert len(alive) == 0


@pytest.mark.parametrize("keep", [False, True], ids=["asked anew", "held on to"])
def test_the_keys_that_are_remembered_are_bounded(keep: bool) -> None:
    """A device that invents keys fills no memory, and every answer stays right."""
    policies = Policies.parse({"*": {"reported.a*.b*": "sum", "reported.*.bb": "max"}}, LIMITS)
    held = policies.rules(TwinKey("lamp"), "reported")
    alive: weakref.WeakSet[Name] = weakref.WeakSet()
    for number in range(3 * STEPS_REMEMBERED):
        name = Name(f"{'xa'[number % 2]}b{number}")
        alive.add(name)
        rules = held if keep else policies.rules(TwinKey(f"lamp-{number % 7}"), "reported")
        assert rules is not None
        below = rules.step(name)
        assert below is not None
        leaf = below.step(name[1:])
        assert (leaf.policy if leaf else "latest") == ("sum" if number % 2 else "latest")
        assert len(alive) <= STEPS_REMEMBERED + 1
    assert policy(policies, "lamp", "reported.x.bb") == "max"


def test_the_twins_that_are_remembered_are_bounded() -> None:
    """Whoever may publish can invent ids."""
    policies = Policies.parse({"*": {"reported.a": "sum"}, "b*": {"reported.a": "max"}}, LIMITS)
    alive: weakref.WeakSet[Name] = weakref.WeakSet()
    for number in range(2 * TWINS_REMEMBERED + 10):
        device = Name(f"{'ab'[number % 2]}{number}")
        alive.add(device)
        assert policies.rules(TwinKey(device), "desired") is None
    del device
    assert len(alive) <= TWINS_REMEMBERED
    assert policy(policies, "a1", "reported.a") == "sum"
    assert policy(policies, "b1", "reported.a") == "max"
