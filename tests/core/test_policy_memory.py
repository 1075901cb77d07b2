"""What a table of policies remembers: enough to be fast, and never without bound."""

from __future__ import annotations

import gc
import weakref

import pytest

from bridge.core.limits import Limits
from bridge.core.policy import TWINS_REMEMBERED, Policies, Rules
from bridge.core.rules import STEPS_REMEMBERED
from bridge.core.topics import TwinKey
from tests.core.walk import policy_at

LIMITS = Limits()

# Mutants are given seconds for each test, and these fill every memory.
pytestmark = pytest.mark.timeout(120)


class Name(str):
    """A text of which can be told whether somebody still holds it."""

    __slots__ = ("__weakref__",)


def test_the_same_question_gets_the_same_object() -> None:
    """It was remembered: a step and a twin are one look-up each."""
    policies = Policies.parse(
        {
            "*": {"reported.counters.**": "sum", "reported.*.peak": "max"},
            "meter-*": {"reported.temp-*": "first"},
        },
        LIMITS,
    )
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
        rules = held if keep else policies.rules(TwinKey(f"lamp-{number}"), "reported")
        assert rules is not None
        below = rules.step(name)
        assert below is not None
        leaf = below.step(name[1:])
        assert (leaf.policy if leaf else "latest") == ("sum" if number % 2 else "latest")
        assert len(alive) <= STEPS_REMEMBERED + 1
    assert policy_at(policies, "lamp", "reported.x.bb") == "max"


def test_twins_share_their_rules_also_after_steps_were_forgotten() -> None:
    """Else the steps of those that came first would no longer be remembered."""
    policies = Policies.parse({"*": {"reported.a.b*": "sum"}}, LIMITS)
    rules = policies.rules(TwinKey("lamp"), "reported")
    assert rules is not None
    below = rules.step("a")
    assert below is not None
    for number in range(STEPS_REMEMBERED):
        assert below.step(f"b{number}") is not None
    assert policies.rules(TwinKey("newcomer"), "reported") is rules
    assert rules.step("a") is rules.step("a")


def test_rules_that_others_have_taken_the_place_of_remember_nothing() -> None:
    """Somebody may hold on to them for ever."""
    policies = Policies.parse({"*": {"reported.a*": "sum"}}, LIMITS)
    held = policies.rules(TwinKey("lamp"), "reported")
    assert held is not None
    for number in range(TWINS_REMEMBERED):
        policies.rules(TwinKey(f"lamp-{number}"), "reported")
    present = policies.rules(TwinKey("lamp"), "reported")
    assert present is not None
    assert present is not held
    below = present.step("a1")
    alive: weakref.WeakSet[Name] = weakref.WeakSet()
    for number in range(100):
        name = Name(f"a{number}")
        alive.add(name)
        assert held.step(name) is below
    del name
    assert len(alive) == 0


LETTERS = "abcdefghijklmno"


def some_letters(number: int) -> str:
    """Return a different set of letters for each number."""
    return "z" + "".join(letter for bit, letter in enumerate(LETTERS) if number >> bit & 1)


def count_rules() -> int:
    """Count the Rules that anybody still holds."""
    gc.collect()
    return sum(type(thing) is Rules for thing in gc.get_objects())


def test_the_combinations_of_path_patterns_that_are_remembered_are_bounded() -> None:
    """Each key may match a different set of patterns, and so lead to different rules."""
    table = {f"reported.*{letter}*.{letter}.**": "sum" for letter in LETTERS}
    policies = Policies.parse({"*": table}, LIMITS)
    rules = policies.rules(TwinKey("lamp"), "reported")
    assert rules is not None
    before = count_rules()
    for number in range(1, 3 * STEPS_REMEMBERED):
        assert rules.step(some_letters(number)) is not None
    assert count_rules() - before <= STEPS_REMEMBERED


def test_the_combinations_of_device_patterns_that_are_remembered_are_bounded() -> None:
    """Each id may match a different set of patterns."""
    table = {f"*{letter}*": {f"reported.{letter}": "sum"} for letter in LETTERS}
    policies = Policies.parse(table, LIMITS)
    before = count_rules()
    for number in range(1, TWINS_REMEMBERED + 5000):
        assert policies.rules(TwinKey(some_letters(number)), "reported") is not None
    assert count_rules() - before <= TWINS_REMEMBERED


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
    assert policy_at(policies, "a1", "reported.a") == "sum"
    assert policy_at(policies, "b1", "reported.a") == "max"
