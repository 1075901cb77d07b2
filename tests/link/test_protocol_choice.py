"""Which version of MQTT is spoken next."""

from __future__ import annotations

from typing import Literal

import pytest

from bridge.link.base import ProtocolVersion
from bridge.link.protocol_choice import PATIENCE, PROBE_TIMEOUT_S, ProtocolChoice


def test_the_other_version_is_tried_at_once_only_the_first_time() -> None:
    """Then they alternate at the pace of the backoff."""
    choice = ProtocolChoice("auto")
    seen = []
    for _ in range(4):
        at_once = choice.unanswered(version_refused=False)
        seen.append((choice.current, at_once))

    assert seen == [("3.1.1", True), ("5", False), ("3.1.1", False), ("5", False)]


def test_a_version_that_has_worked_is_left_only_after_some_attempts() -> None:
    """And the other one is then tried at once."""
    choice = ProtocolChoice("auto")
    choice.worked()

    answers = [choice.unanswered(version_refused=False) for _ in range(PATIENCE)]

    assert answers == [False] * (PATIENCE - 1) + [True]
    assert choice.current == "3.1.1"


def test_attempts_that_work_in_between_are_not_held_against_it() -> None:
    """Patience is for attempts in a row."""
    choice = ProtocolChoice("auto")
    for _ in range(PATIENCE * 2):
        choice.worked()
        assert not choice.unanswered(version_refused=False)

    assert choice.current == "5"


def test_a_refused_version_is_left_at_once_though_it_has_worked() -> None:
    """The broker was replaced, and says so."""
    choice = ProtocolChoice("auto")
    choice.worked()

    assert choice.unanswered(version_refused=True)
    assert choice.current == "3.1.1"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_version_that_is_set_is_never_left(version: ProtocolVersion) -> None:
    """Not even where the broker refuses it."""
    choice = ProtocolChoice(version)

    for refused in (True, False):
        assert not choice.unanswered(version_refused=refused)
    assert choice.current == version


@pytest.mark.parametrize(("wanted", "expected_s"), [("auto", PROBE_TIMEOUT_S), ("5", 10.0)])
def test_only_the_probe_is_short(wanted: Literal["auto", "5"], expected_s: float) -> None:
    """The first attempt where the version is not known yet; no other one."""
    choice = ProtocolChoice(wanted)
    assert choice.answer_timeout_s(10.0) == expected_s
    assert choice.answer_timeout_s(1.0) == 1.0

    choice.unanswered(version_refused=False)
    assert choice.answer_timeout_s(10.0) == 10.0
    choice.worked()
    assert choice.answer_timeout_s(10.0) == 10.0
