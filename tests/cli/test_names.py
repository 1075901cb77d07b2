"""Names of devices, twins and requesters, as they are typed."""

from __future__ import annotations

import getpass

import click
import pytest

from bridge.cli.names import requester_name, twin_key
from bridge.core.topics import TwinKey


def test_a_device_may_have_a_named_twin() -> None:
    """Without a name it is the unnamed one."""
    assert twin_key("lamp-1", "") == TwinKey("lamp-1")
    assert twin_key("lamp-1", "firmware") == TwinKey("lamp-1", "firmware")


@pytest.mark.parametrize(
    ("device", "name"), [("a/b", ""), ("", ""), (".a", ""), ("+", ""), ("a", "state"), ("a", "x y")]
)
def test_what_cannot_stand_in_a_topic_is_refused(device: str, name: str) -> None:
    """Before it gets anywhere near a broker."""
    with pytest.raises(click.UsageError):
        twin_key(device, name)


@pytest.mark.parametrize(
    ("given", "login", "user", "name"),
    [
        ("me", "login", "user", "me"),
        (None, "login", "user", "login"),
        (None, "not/allowed", "user", "cli-user"),
        (None, None, "Jane Döe", "cli-Jane-D-e"),
        (None, None, "x" * 200, "cli-" + "x" * 124),
    ],
)
def test_a_requester_is_named_after_who_it_is(
    monkeypatch: pytest.MonkeyPatch, given: str | None, login: str | None, user: str, name: str
) -> None:
    """What was given, else the broker's login, else the user of this machine, cleaned."""
    monkeypatch.setattr(getpass, "getuser", lambda: user)
    assert requester_name(given, login) == name


def test_a_user_without_a_name_has_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container with a bare user id."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert requester_name(None, None) == "cli-user"


def test_a_name_that_is_a_word_of_the_topics_is_refused() -> None:
    """It would be taken for a verb."""
    with pytest.raises(click.UsageError, match="--as"):
        requester_name("delta", None)
