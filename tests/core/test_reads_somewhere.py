"""What may be asked about: whether any twin may show a sender a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.pattern import parse_device_pattern
from bridge.core.permission_rules import PermissionRule
from bridge.core.permissions import Default, Named, Permissions
from bridge.core.topics import TwinKey

RULES = (
    ("anna", "lamp-*", "reported.**", "read"),
    ("anna", "lamp-*", "reported.secret", "deny read"),
    ("anna", "plug-*", "reported.secret", "read"),
    ("bert", "*", "reported.**", "read"),
    ("bert", "*", "reported.wifi.password", "deny read"),
    ("bert", "lamp-1", "reported.name", "deny read"),
)


def make(rules: tuple[tuple[str, str, str, str], ...], default: Default = "deny") -> Permissions:
    """Permissions of anna and bert."""
    names = [Named("anna"), Named("bert")]
    return Permissions(default, names, {}, [PermissionRule(*rule) for rule in rules])


@pytest.mark.parametrize(
    ("sender", "pattern", "path", "default", "expected"),
    [
        ("anna", "*", "on", "deny", True),
        ("anna", "lamp-1", "on", "deny", True),
        ("anna", "plug-1", "on", "deny", False),
        ("anna", "plug-*", "on", "deny", False),
        ("anna", "*", "secret", "deny", True),
        ("anna", "lamp-*", "secret", "deny", False),
        ("anna", "lamp-7", "secret", "deny", False),
        ("anna", "lamp-7/setup", "secret", "deny", False),
        ("anna", "lamp-7", "secret", "development", False),
        ("anna", "anna", "on", "deny", True),
        ("bert", "*", "wifi.password", "deny", False),
        ("bert", "*", "wifi", "deny", False),
        ("bert", "*", "wifi", "development", False),
        ("bert", "*", "wifi.name", "deny", True),
        ("bert", "lamp-1", "name", "deny", False),
        ("bert", "*", "name", "deny", True),
        ("eve", "*", "on", "deny", False),
        ("eve", "*", "on", "development", True),
    ],
)
def test_says_whether_a_path_may_be_read_anywhere(
    sender: str, pattern: str, path: str, default: Default, expected: bool
) -> None:
    """Of the twins that are meant; what is denied below a path counts too."""
    twins = parse_device_pattern(pattern)
    permissions = make(RULES, default)
    asked = tuple(path.split("."))
    assert permissions.reads_somewhere(sender, twins, "reported", asked) is expected


_DEVICES = st.sampled_from(["a", "b", "ab", "a*", "*b", "*", "a/x", "*/x", "*/*"])
_PATHS = st.sampled_from(["**", "p", "p.**", "p.q", "*", "*.q"])
_RIGHTS = st.sampled_from(["read", "deny read", "write"])
_SUBJECTS = st.sampled_from(["anna", "everyone", "self"])
_RULES = st.lists(
    st.tuples(_SUBJECTS, _DEVICES, _PATHS.map(lambda p: f"reported.{p}"), _RIGHTS), max_size=4
).map(tuple)


@given(
    _RULES,
    st.sampled_from(["deny", "development"]),
    _DEVICES,
    st.sampled_from([("p",), ("p", "q"), ("r",)]),
)
def test_nothing_that_may_be_read_is_refused(
    rules: tuple[tuple[str, str, str, str], ...],
    default: Default,
    pattern: str,
    path: tuple[str, ...],
) -> None:
    """Wherever there is a twin of which the sender may read it."""
    permissions = make(rules, default)
    twins = parse_device_pattern(pattern)
    keys = [TwinKey(device, name) for device in ("a", "b", "ab", "c") for name in ("", "x", "y")]
    readable = [
        key
        for key in keys
        if twins.matches(key)
        and permissions.access("anna", key).grant("reported", "read").allows_below(path)
    ]
    if readable:
        assert permissions.reads_somewhere("anna", twins, "reported", path)
