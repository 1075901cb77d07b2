"""When the broker is asked for a sign of life."""

from __future__ import annotations

from bridge.link.keep_alive import Action, KeepAlive


def _looks(keep: KeepAlive, until_s: float, received_until_s: float = 0.0) -> list[Action]:
    """Look as often as is to be, while something comes and something is sent until a time."""
    actions: list[Action] = []
    now = 100.0
    while now <= 100.0 + until_s:
        busy = now < 100.0 + received_until_s
        action = keep.look(now, received=busy, sent=busy or action_of(actions) == "ping")
        actions.append(action)
        now += keep.look_every_s
    return actions


def action_of(actions: list[Action]) -> Action:
    """Return the last action."""
    return actions[-1] if actions else "none"


def test_a_busy_connection_is_left_alone() -> None:
    """Where messages pass, there is nothing to ask."""
    assert set(_looks(KeepAlive(10), 60, received_until_s=100)) == {"none"}


def test_a_quiet_broker_is_asked_before_the_interval_is_over_and_dead_after_another() -> None:
    """One question, and as long again for the answer."""
    keep = KeepAlive(10)

    actions = _looks(keep, 40)

    asked, dead = actions.index("ping"), actions.index("dead")
    assert actions[:asked] == ["none"] * asked
    assert asked * keep.look_every_s < 10
    assert (dead - asked) * keep.look_every_s == 10


def test_an_answer_ends_the_doubt() -> None:
    """And the next question comes after another interval."""
    keep = KeepAlive(4)
    assert keep.look(100.0, received=True, sent=True) == "none"
    assert keep.look(103.5, received=False, sent=False) == "ping"

    assert keep.look(104.0, received=True, sent=True) == "none"

    assert keep.look(106.9, received=False, sent=False) == "none"
    assert keep.look(107.0, received=False, sent=False) == "ping"


def test_who_only_listens_says_something_too() -> None:
    """The broker would take a client for dead that sends nothing (section 3.1.2.10)."""
    keep = KeepAlive(4)
    assert keep.look(100.0, received=True, sent=True) == "none"

    assert keep.look(103.5, received=True, sent=False) == "ping"


def test_a_short_interval_is_looked_at_more_often() -> None:
    """Else a second could pass before it is noticed."""
    assert KeepAlive(1).look_every_s < 1
    assert KeepAlive(3600).look_every_s == 1
