"""The file of permissions: what it becomes, and errors with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import load, read_permissions
from bridge.core.limits import Limits
from bridge.core.permission_rules import PermissionRule
from bridge.core.topics import TwinKey
from bridge.errors import ConfigError
from tests.support.examples import examples

_FILE = """\
# Who may do what.
principals:
  - anna
  - display-7
groups:
  operators: [anna]
  nobody-yet:
rules:
  operators:
    "lamp-*":
      desired.**: read write
  display-7:
    lamp-1/setup:
      desired."a.b".*: deny write
    # Later.
    lamp-2:
  self:
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the permissions are."""
    return tmp_path / "permissions.yaml"


def _refused(path: Path, text: str) -> ConfigError:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read_permissions(path, Limits())
    return refused.value


def test_the_file_becomes_permissions(path: Path) -> None:
    """Each rule with the line that it stands in."""
    path.write_text(_FILE, encoding="utf-8")
    permissions = read_permissions(path, Limits())
    assert permissions.default == "deny"
    assert permissions.principals == ("anna", "display-7")
    assert permissions.groups == {"operators": ("anna",), "nobody-yet": ()}
    assert {rule.rule for rule in permissions.rules} == {
        PermissionRule("operators", "lamp-*", "desired.**", "read write", 11),
        PermissionRule("display-7", "lamp-1/setup", 'desired."a.b".*', "deny write", 14),
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "rules:\nprincipals:\ngroups:\n"])
def test_an_empty_file_allows_nothing(path: Path, text: str) -> None:
    """It is not the same as none."""
    path.write_text(text, encoding="utf-8")
    permissions = read_permissions(path, Limits())
    assert (permissions.default, permissions.rules) == ("deny", ())


def test_the_default_can_be_that_of_development(path: Path) -> None:
    """By its name."""
    path.write_text("default: development\n", encoding="utf-8")
    assert read_permissions(path, Limits()).default == "development"


@pytest.mark.parametrize(
    ("text", "line", "reason", "hint"),
    [
        ("rule:\n", 1, "'rule' is not part", "did you mean rules?"),
        ("default: allow\n", 1, "'allow' is none of deny, development", ""),
        ("default: develop\n", 1, "is none of", "did you mean development?"),
        ("default: [deny]\n", 1, "a single word", "default is one of deny, development"),
        ("principals: anna\n", 1, "principals is not a list", "write a list of names"),
        ("principals:\n- anna\n- [b]\n", 3, "a single word", "write a list of names"),
        ("principals:\n- anna\n- a b\n", 3, "'a b' cannot be a principal", ""),
        ("principals:\n- anna\n- anna\n", 3, "twice, in lines 2 and 3", ""),
        (
            "principals: [anna]\ngroups:\n  operators: [ana]\n",
            3,
            "'ana' in the group 'operators'",
            "did you mean anna?",
        ),
        (
            "principals: [anna]\ngroups: {operators: [anna]}\nrules:\n  operator:\n"
            "    lamp:\n      desired.a: read\n",
            6,
            "'operator' is neither",
            "did you mean operators?",
        ),
        (
            "rules:\n  everyone:\n    lamp:\n      desired.a: raed\n",
            4,
            "'raed' is no right",
            "did you mean read?",
        ),
        ("rules:\n  everyone:\n    lamp:\n      desierd.a: read\n", 4, "a path begins", ""),
        ("rules:\n  everyone:\n    lamp:\n      desired.a: [read]\n", 4, "a single word", "write"),
        ("rules:\n  everyone:\n    lamp: read\n", 3, "not a mapping", "write `path pattern"),
        ("rules:\n  everyone:\n    lamp:\n    lamp:\n", 4, "lines 3 and 4", "remove one"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    path: Path, text: str, line: int, reason: str, hint: str
) -> None:
    """And with what was probably meant."""
    error = _refused(path, text)
    assert reason in error.message
    assert error.source == f"{path}:{line}"
    assert error.hint.startswith(hint)


def test_a_star_without_quotes_is_explained(path: Path) -> None:
    """YAML takes it for something else."""
    error = _refused(path, "rules:\n  everyone:\n    *:\n      desired.a: read\n")
    assert "quotes" in error.hint


def test_a_file_that_is_not_there_is_told_by_its_setting(path: Path) -> None:
    """As it stands in the configuration, relative to that file."""
    configuration = path.with_name("bridge.yaml")
    configuration.write_text("permissions:\n  file: permissions.yaml\n", encoding="utf-8")
    loaded = load({}, {}, configuration)
    assert loaded.config.permissions.file == path
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        read_permissions(path, Limits())
    assert "permissions.file" in refused.value.hint


@given(
    start=st.integers(0, len(_FILE)),
    length=st.integers(0, 20),
    put=st.one_of(
        st.text(max_size=10),
        st.sampled_from(
            ["&a ", "*a", "{", "[", "]", "? ", "- ", ": ", "|\n", "!!int ", "<<: ", "\n"]
        ),
    ),
)
@examples(500)
def test_whatever_stands_in_the_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int, put: str
) -> None:
    """Never does reading it fail in another way."""
    path = tmp_path_factory.getbasetemp() / "permissions.yaml"
    text = _FILE[:start] + put + _FILE[start + length :]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        permissions = read_permissions(path, Limits())
    except ConfigError as error:
        assert str(path) in error.message
    else:
        permissions.access("anna", TwinKey("lamp-1"))
