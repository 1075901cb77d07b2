"""A table of policies against a reference that tries every rule on every whole path."""

from __future__ import annotations

from itertools import cycle, product

from hypothesis import event, given
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.policy import POLICIES, Policies, PolicyError
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName
from tests.core.reference_policy import ReferenceRule, has_tie, policy_of, table_of
from tests.core.walk import policy_below
from tests.support.examples import examples

LIMITS = Limits(depth=3)


def _texts(shortest: int, longest: int) -> list[str]:
    """Return every text of these lengths over a small alphabet."""
    lengths = range(shortest, longest + 1)
    return ["".join(letters) for n in lengths for letters in product("ab", repeat=n)]


# Long enough for any two patterns of three signs to meet: `aa*` and `*bb` do in `aabb`.
TWINS = tuple(
    device + name for device in _texts(1, 4) for name in ("", *(f"/{n}" for n in _texts(1, 4)))
)
PATHS = (*product(_texts(0, 4)), *product(_texts(0, 4), repeat=2))

# All patterns of up to three signs, those that match much more often.
_WIDE = ["*", "a*", "*a", "*b", "*a*", "*b*"]
_ALL = ["".join(signs) for n in (1, 2, 3) for signs in product("ab*", repeat=n)]
_PART = st.one_of(
    st.sampled_from(_WIDE), st.sampled_from([part for part in _ALL if "**" not in part])
)
_DEVICES = st.one_of(st.sampled_from(_WIDE), _PART, st.tuples(_PART, _PART).map("/".join))
_LAST = st.one_of(st.just("**"), _PART)
_SHORT_PATTERNS = st.one_of(_LAST, st.tuples(_PART, _LAST).map(".".join))
_PATTERNS = st.one_of(_SHORT_PATTERNS, st.tuples(_PART, _PART, _LAST).map(".".join))


def _rules(
    paths: st.SearchStrategy[str], smallest: int, largest: int
) -> st.SearchStrategy[list[ReferenceRule]]:
    """Return rules of which no two are written alike."""
    patterns = st.lists(
        st.tuples(_DEVICES, paths), min_size=smallest, max_size=largest, unique=True
    )
    return st.builds(
        lambda drawn, policies: [
            ReferenceRule(*pattern, policy)
            for pattern, policy in zip(drawn, cycle(policies), strict=False)
        ],
        patterns,
        st.permutations(POLICIES),
    )


def _is_accepted(rules: list[ReferenceRule], section: SectionName) -> bool:
    try:
        Policies.parse(table_of(rules, section), LIMITS)
    except PolicyError:
        return False
    return True


def _without_ties(rules: list[ReferenceRule], section: SectionName) -> list[ReferenceRule]:
    kept: list[ReferenceRule] = []
    for rule in rules:
        if _is_accepted([*kept, rule], section):
            kept.append(rule)
    return kept


_PATH = st.lists(st.text("ab", max_size=3), min_size=1, max_size=4).map(tuple)


@given(
    _rules(_PATTERNS, 4, 14),
    st.sampled_from(["reported", "desired"]),
    st.lists(st.tuples(st.sampled_from(TWINS), _PATH), min_size=1, max_size=30),
)
@examples(100)
def test_the_most_specific_rule_that_matches_is_found(
    rules: list[ReferenceRule],
    section: SectionName,
    asked: list[tuple[str, tuple[str, ...]]],
) -> None:
    """Step by step the same as for the whole path at once, whatever was asked before."""
    rules = _without_ties(rules, section)
    policies = Policies.parse(table_of(rules, section), LIMITS)
    other: SectionName = "desired" if section == "reported" else "reported"
    for twin, path in asked:
        key = TwinKey(*twin.split("/"))
        expected = policy_of(rules, twin, path)
        event(f"found: {expected}")
        assert policy_below(policies.rules(key, section), path) == expected
        assert policies.rules(key, other) is None


@given(_rules(_SHORT_PATTERNS, 2, 6))
@examples(100)
def test_rules_are_refused_where_two_match_one_path_and_neither_is_more_specific(
    rules: list[ReferenceRule],
) -> None:
    """And only there: every path of every twin over the alphabet is tried."""
    tie = has_tie(rules, TWINS, PATHS)
    event(f"tie: {tie}")
    assert _is_accepted(rules, "reported") is not tie
