"""Who may do what, whatever the order of the rules, and which permissions are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import permissions as permissions_module
from bridge.core.permission_rules import RIGHTS, PermissionRule, PermissionsError, Right
from bridge.core.permissions import Default, Named, Permissions
from bridge.core.section import Path
from bridge.core.topics import TwinKey
from bridge.core.update import SECTIONS, SectionName
from tests.support.examples import examples

LAMP = TwinKey("lamp-1")
SETUP = TwinKey("lamp-1", "setup")

RULES = (
    ("operators", "lamp-*", "desired.**", "read write"),
    ("operators", "*", "reported.**", "read"),
    ("anna", "lamp-1", "desired.firmware", "deny write"),
    ("display-7", "lamp-1", "desired.on", "write"),
    ("display-7", "*/setup", "desired.*.low", "write"),
    ("everyone", "lamp-2", "reported.name", "read"),
    ("self", "*", "desired.secret", "deny read"),
    ("self", "old-*", "reported.**", "deny write"),
)


def make(
    rules: Sequence[tuple[str, str, str, str]] = RULES,
    *,
    default: Default = "deny",
    groups: Mapping[str, Sequence[str]] | None = None,
    principals: Sequence[str] = ("anna", "bert", "display-7"),
) -> Permissions:
    """Permissions whose rules stand in the lines from 1."""
    members = {"operators": ("anna", "bert")} if groups is None else groups
    return Permissions(
        default,
        [Named(name) for name in principals],
        {Named(group): [Named(name) for name in names] for group, names in members.items()},
        [PermissionRule(*rule, line) for line, rule in enumerate(rules, start=1)],
    )


PERMISSIONS = make()


def why(sender: str, key: TwinKey, path: str, right: str, permissions: Permissions) -> str:
    """The answer for a path, as one word and the line of the rule, or what holds otherwise."""
    section, *levels = path.split(".")
    assert section in SECTIONS
    assert right in ("read", "write")
    name: SectionName = "reported" if section == "reported" else "desired"
    which: Right = "read" if right == "read" else "write"
    decision = permissions.explain(sender, key, name, tuple(levels), which)
    reason = decision.otherwise if decision.rule is None else str(decision.rule.line)
    return f"{'yes' if decision.allowed else 'no'} {reason}"


@pytest.mark.parametrize(
    ("sender", "key", "path", "right", "expected"),
    [
        ("anna", LAMP, "desired.on", "write", "yes 1"),
        ("anna", SETUP, "desired.on", "write", "yes 1"),
        ("anna", LAMP, "desired.a.b.c", "read", "yes 1"),
        ("anna", LAMP, "desired.firmware", "write", "no 3"),
        ("anna", LAMP, "desired.firmware.url", "write", "no 3"),
        ("anna", LAMP, "desired.firmware", "read", "yes 1"),
        ("anna", TwinKey("lamp-2"), "desired.firmware", "write", "yes 1"),
        ("bert", LAMP, "desired.firmware", "write", "yes 1"),
        ("bert", LAMP, "reported.x", "write", "no deny"),
        ("bert", TwinKey("plug"), "reported.x", "read", "yes 2"),
        ("bert", TwinKey("plug"), "desired.x", "read", "no deny"),
        ("display-7", LAMP, "desired.on", "write", "yes 4"),
        ("display-7", LAMP, "desired.on.x", "write", "yes 4"),
        ("display-7", LAMP, "desired.on", "read", "no deny"),
        ("display-7", LAMP, "desired.other", "write", "no deny"),
        ("display-7", SETUP, "desired.t.low", "write", "yes 5"),
        ("display-7", SETUP, "desired.t", "write", "no deny"),
        ("display-7", SETUP, "desired.t.high", "write", "no deny"),
        ("nobody", TwinKey("lamp-2"), "reported.name", "read", "yes 6"),
        ("nobody", TwinKey("lamp-2"), "reported.other", "read", "no deny"),
        ("nobody", LAMP, "reported.name", "read", "no deny"),
        ("lamp-1", LAMP, "reported.x", "write", "yes own"),
        ("lamp-1", SETUP, "reported.x", "read", "yes own"),
        ("lamp-1", LAMP, "desired.x", "read", "yes own"),
        ("lamp-1", LAMP, "desired.x", "write", "no deny"),
        ("lamp-1", LAMP, "desired.secret.key", "read", "no 7"),
        ("lamp-1", TwinKey("lamp-2"), "desired.x", "read", "no deny"),
        ("old-1", TwinKey("old-1"), "reported.x", "write", "no 8"),
        ("operators", LAMP, "desired.on", "write", "no deny"),
        ("self", LAMP, "desired.on", "write", "no deny"),
        ("everyone", LAMP, "desired.on", "write", "no deny"),
    ],
)
def test_what_is_allowed_and_why(
    sender: str, key: TwinKey, path: str, right: str, expected: str
) -> None:
    """A denial before what allows, a device's own, a path with all below it, and else nothing."""
    assert why(sender, key, path, right, PERMISSIONS) == expected
    # What is remembered is what was found.
    assert why(sender, key, path, right, PERMISSIONS) == expected


def test_development_allows_what_nothing_denies() -> None:
    """Also to who is not declared; a rule still takes something away."""
    permissions = make(default="development")
    assert why("nobody", LAMP, "desired.on", "write", permissions) == "yes development"
    assert why("anna", LAMP, "desired.firmware", "write", permissions) == "no 3"
    assert why("lamp-1", LAMP, "reported.x", "write", permissions) == "yes own"


@pytest.mark.parametrize(
    ("rules", "reads_all", "reads_some", "deletes"),
    [
        ((), 0, 0, 0),
        ((("anna", "*", "reported.**", "read"),), 0, 1, 0),
        ((("anna", "*", "reported.**", "read"), ("anna", "*", "desired.*", "read")), 1, 1, 0),
        ((("anna", "*", "desired.a", "read"), ("anna", "*", "desired.*", "deny read")), 0, 0, 0),
        ((("anna", "*", "desired.a", "read"), ("anna", "*", "desired.a", "deny read")), 0, 1, 0),
        ((("anna", "*", "desired.**", "write"), ("anna", "*", "reported.**", "write")), 0, 0, 1),
        ((("anna", "*", "desired.**", "write"), ("anna", "*", "reported.*.a", "write")), 0, 0, 0),
    ],
)  # fmt: skip
def test_what_is_known_without_a_path(
    rules: Sequence[tuple[str, str, str, str]], reads_all: int, reads_some: int, deletes: int
) -> None:
    """Whether everything may be read, or something, and whether the twin may be deleted."""
    access = make(rules).access("anna", LAMP)
    assert (access.reads_all, access.reads_some, access.deletes) == (
        bool(reads_all),
        bool(reads_some),
        bool(deletes),
    )


def test_whether_reports_are_free_is_known_from_the_rules() -> None:
    """One that denies writing `reported`, to whomever, is enough."""
    assert not PERMISSIONS.reports_are_free
    assert make(RULES[:-1]).reports_are_free


def test_no_more_is_remembered_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may publish can invent names."""
    monkeypatch.setattr(permissions_module, "ACCESSES_REMEMBERED", 3)
    permissions = make()
    for number in range(20):
        assert why(f"d{number}", LAMP, "desired.on", "write", permissions) == "no deny"
        assert len(permissions._accesses) <= 3


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (("annna", "*", "desired.a", "read"), "neither a principal nor a group"),
        (("anna", "a b", "desired.a", "read"), "device 'a b'"),
        (("anna", "*", "a.b", "read"), "a path begins with"),
        (("anna", "*", "desired", "read"), "nothing stands behind"),
        (("anna", "*", "desired.**.a", "read"), "only be the last"),
        (("anna", "*", "desired.a", "wrote"), "'wrote' is no right"),
        (("anna", "*", "desired.a", "read deny"), "'deny' is no right"),
        (("anna", "*", "desired.a", "deny"), "is not a right"),
        (("anna", "*", "desired.a", "read read"), "each once"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: tuple[str, str, str, str], reason: str) -> None:
    """With its line."""
    with pytest.raises(PermissionsError, match=reason) as refused:
        make([RULES[0], rule])
    assert refused.value.line == 2


@pytest.mark.parametrize(
    ("principals", "groups", "reason"),
    [
        (["a b"], {}, "cannot be a principal"),
        (["report"], {}, "cannot be a principal"),
        (["self"], {}, "a meaning of its own"),
        (["anna", "anna"], {}, "declared twice"),
        (["anna"], {"anna": []}, "declared twice"),
        (["anna"], {"everyone": ["anna"]}, "a meaning of its own"),
        (["anna"], {"operators": ["ana"]}, "is no principal"),
        (["anna"], {"one": ["anna"], "two": ["one"]}, "is no principal"),
    ],
)
def test_names_that_cannot_be_are_refused(
    principals: Sequence[str], groups: Mapping[str, Sequence[str]], reason: str
) -> None:
    """A group may not be taken for a principal, nor hold another one."""
    with pytest.raises(PermissionsError, match=reason):
        make((), principals=principals, groups=groups)


@pytest.mark.parametrize("limit", ["PERMISSION_RULES", "PRINCIPALS"])
def test_a_file_has_bounds(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On rules and on principals."""
    monkeypatch.setattr(permissions_module, limit, 2)
    with pytest.raises(PermissionsError, match="more than 2"):
        make()


# Few names, so that rules meet; `zoe` is declared, and is in no group.
_PRINCIPALS = ("anna", "bert", "lamp-1", "zoe")
_DEVICES = st.sampled_from(["*", "lamp-*", "lamp-1", "lamp-1/setup", "*/setup"])
_LEVELS = st.lists(st.sampled_from(["a", "b", "*", "a*"]), max_size=2)


@st.composite
def _paths(draw: st.DrawFn) -> str:
    levels = [draw(st.sampled_from(SECTIONS)), *draw(_LEVELS)]
    if len(levels) == 1 or draw(st.booleans()):
        levels.append("**")
    return ".".join(levels)


_RIGHTS = st.sampled_from(["read", "write", "read write", "deny read", "deny write"])
_RULES = st.lists(
    st.tuples(
        st.sampled_from([*_PRINCIPALS, "operators", "self", "everyone"]),
        _DEVICES,
        _paths(),
        _RIGHTS,
    ),
    max_size=6,
)
_GROUPS = {"operators": ("anna", "bert")}
_SENDERS = (*_PRINCIPALS, "nobody", "operators")
_KEYS = (LAMP, SETUP, TwinKey("lamp-2"), TwinKey("plug"))
_ASKED: tuple[Path, ...] = (("a",), ("b",), ("ab",), ("a", "b"), ("b", "a", "c"))


def _answers(permissions: Permissions) -> dict[object, bool]:
    return {
        (sender, key, section, right, path): permissions.explain(
            sender, key, section, path, right
        ).allowed
        for sender in _SENDERS
        for key in _KEYS
        for section in SECTIONS
        for right in RIGHTS
        for path in _ASKED
    }


def _made(rules: Sequence[tuple[str, str, str, str]], default: Default = "deny") -> Permissions:
    return make(rules, default=default, groups=_GROUPS, principals=_PRINCIPALS)


@given(rules=_RULES, data=st.data())
@examples(60)
def test_the_order_of_the_rules_does_not_matter(
    rules: list[tuple[str, str, str, str]], data: st.DataObject
) -> None:
    """Nor that one is written twice."""
    shuffled = data.draw(st.permutations([*rules, *rules[:1]]))
    assert _answers(_made(rules)) == _answers(_made(shuffled))


@given(rules=_RULES)
@examples(60)
def test_a_rule_for_a_group_is_one_for_each_of_its_members(
    rules: list[tuple[str, str, str, str]],
) -> None:
    """For them, and for nobody else."""
    spread = [
        (subject, *rest)
        for group, *rest in rules
        for subject in (_GROUPS["operators"] if group == "operators" else (group,))
    ]
    assert _answers(_made(rules)) == _answers(_made([(s, d, p, r) for s, d, p, r in spread]))


@given(rules=_RULES)
@examples(60)
def test_what_no_rule_allows_is_denied(rules: list[tuple[str, str, str, str]]) -> None:
    """But for what is a device's own; and taking a rule that allows away never allows more."""
    nothing = _answers(_made([rule for rule in rules if rule[3].startswith("deny")]))
    for (sender, key, section, right, _), allowed in nothing.items():  # type: ignore[misc]
        own = sender == key.device and (section, right) != ("desired", "write")  # type: ignore[has-type]
        assert own or not allowed
    everything = _answers(_made(rules))
    for index, rule in enumerate(rules):
        if not rule[3].startswith("deny"):
            fewer = _answers(_made(rules[:index] + rules[index + 1 :]))
            assert all(everything[asked] or not fewer[asked] for asked in everything)


@given(rules=_RULES, default=st.sampled_from(permissions_module.DEFAULTS))
@examples(100)
def test_the_explanation_is_what_is_done(
    rules: list[tuple[str, str, str, str]], default: Default
) -> None:
    """The rule that is named says so itself, and the short cuts say what each path does."""
    permissions = _made(rules, default)
    for sender in _SENDERS:
        for key in _KEYS:
            access = permissions.access(sender, key)
            for section in SECTIONS:
                for right in RIGHTS:
                    grant = access.grant(section, right)
                    for path in _ASKED:
                        decision = permissions.explain(sender, key, section, path, right)
                        assert grant.allows(path) == decision.allowed
                        assert decision.allowed or not grant.is_whole
                        assert grant.is_some or not decision.allowed
                        if decision.rule is not None:
                            denies = decision.rule.rights.startswith("deny")
                            assert denies != decision.allowed
                            assert right in decision.rule.rights
                            assert decision.rule.path.startswith(section)
