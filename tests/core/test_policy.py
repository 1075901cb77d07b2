"""Which policy holds where, and which tables are refused."""

from __future__ import annotations

import pytest

from bridge.core.limits import Limits
from bridge.core.policy import (
    NO_POLICIES,
    POLICIES,
    RULES_IN_A_TABLE,
    Policies,
    PolicyError,
    Rule,
)
from bridge.core.topics import IDENTIFIER_RULE, TwinKey
from tests.core.walk import policy_at

LIMITS = Limits()
ALL = "latest, device, app, sum, max, min, union, first, refuse"

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
    assert policy_at(Policies.parse(TABLE, LIMITS), twin, path) == expected


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
    assert policy_at(policies, "lamp", "reported.a") == name


def test_a_rule_may_stand_below_a_value_of_another_rule() -> None:
    """Objects are descended into: an aggregate owns its path, not what may lie below it."""
    policies = Policies.parse({"*": {"reported.a": "sum", "reported.a.b": "max"}}, LIMITS)
    assert policy_at(policies, "lamp", "reported.a") == "sum"
    assert policy_at(policies, "lamp", "reported.a.b") == "max"
    assert policy_at(policies, "lamp", "reported.a.c") == "latest"


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


def test_latest_for_all_below_ends_the_walk() -> None:
    """What is less specific cannot come back."""
    table = {"reported.a.**": "latest", "reported.**": "sum", "reported.*.b.c": "max"}
    rules = Policies.parse({"*": table}, LIMITS).rules(TwinKey("lamp"), "reported")
    assert rules is not None
    below = rules.step("a")
    assert below is not None
    assert below.policy == "sum"
    assert below.step("b") is None


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
    assert hash(policies) != hash(NO_POLICIES)
    assert Policies.parse({}, LIMITS) == NO_POLICIES
    assert policies != "policies"
    assert repr(NO_POLICIES) == "Policies(())"
    assert "path='reported.b'" in repr(policies)


@pytest.mark.parametrize(
    ("device", "path", "policy", "reason"),
    [
        ("a b", None, None, f"no device id matches it: it is {IDENTIFIER_RULE}"),
        ("", None, None, f"no device id matches it: it is {IDENTIFIER_RULE}"),
        ("a/get", None, None, "no twin can be named 'get': that word is part of the topics"),
        ("a", "mode", None, "a path begins with reported. or desired."),
        ("a", "", None, "'' has an empty key; an empty key is written \"\""),
        ("a", "reported.a", "summ", f"'summ' is no policy: there are {ALL}"),
        ("a", "reported.a", "", f"'' is no policy: there are {ALL}"),
    ],
)
def test_a_rule_that_is_wrong_is_named(
    device: str, path: str | None, policy: str | None, reason: str
) -> None:
    """With both patterns and the reason."""
    table = {device: {"reported.x" if path is None else path: policy or ""}}
    with pytest.raises(PolicyError) as refused:
        Policies.parse(table, LIMITS)
    error = refused.value
    assert (error.device, error.path, error.policy) == (device, path, policy)
    assert (error.other, error.reason, error.args) == (None, reason, (reason,))
    named = f"{device!r}" if path is None else f"{path!r} of {device!r}"
    assert str(error) == f"{named}: {reason}"


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
    assert refused.value.reason == (
        f"it ties with {one[1]!r} of {one[0]!r}: both match {both_match}, and neither is more "
        "specific"
    )


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


@pytest.mark.timeout(120)  # even where mutants are tried
def test_a_table_has_a_largest_size() -> None:
    """All its rules are held against each other, and against each new twin."""
    largest = {f"meter-{n}-*": {"reported.a": "sum"} for n in range(RULES_IN_A_TABLE)}
    assert len(Policies.parse(largest, LIMITS).table) == RULES_IN_A_TABLE
    with pytest.raises(PolicyError) as refused:
        Policies.parse(largest | {"x": {"reported.a": "sum"}}, LIMITS)
    assert str(refused.value) == "there are more than 1000 rules"
    assert refused.value.device is None
