"""Who has been silent for too long: the clock is the test's."""

from __future__ import annotations

import pytest

from bridge.service import silence as module
from bridge.service.silence import Silence


@pytest.fixture
def silence() -> Silence:
    """Listening since 0, for 100 s of silence."""
    made = Silence(100.0)
    made.listen(0.0)
    return made


def test_a_device_is_overdue_after_so_long_without_a_report(silence: Silence) -> None:
    """Counted from the last one; the one that is silent longest comes first."""
    assert silence.next_at() is None
    for device, at in (("a", 0.0), ("b", 10.0), ("a", 20.0)):
        assert silence.heard(device, at)
    assert silence.next_at() == 110.0
    assert silence.overdue(109.9, 10) == []
    assert silence.overdue(110.0, 10) == ["b"]
    assert silence.overdue(200.0, 10) == ["b", "a"]
    assert silence.overdue(200.0, 1) == ["b"]


def test_a_device_that_was_heard_meanwhile_is_not_overdue(silence: Silence) -> None:
    """It is asked again before the device goes offline."""
    silence.heard("a", 0.0)
    assert silence.is_overdue("a", 100.0)
    silence.heard("a", 99.0)
    assert not silence.is_overdue("a", 100.0)
    assert not silence.is_overdue("unknown", 100.0)


def test_a_device_that_went_offline_is_watched_no_more(silence: Silence) -> None:
    """Until it reports again."""
    silence.heard("a", 0.0)
    silence.forget("a")
    assert silence.next_at() is None
    assert silence.heard("a", 300.0)
    assert silence.next_at() == 400.0


def test_who_says_itself_that_it_is_online_is_left_to_its_will(silence: Silence) -> None:
    """However silent it is, before and after."""
    silence.heard("a", 0.0)
    silence.says_itself("a", online=True)
    assert not silence.heard("a", 10.0)
    silence.expect("a")
    silence.says_itself("a", online=False)
    assert not silence.heard("a", 20.0)
    assert silence.overdue(1000.0, 10) == []


def test_an_offline_alone_is_no_will(silence: Silence) -> None:
    """What somebody has left on the topic does not keep the device online for ever."""
    silence.heard("a", 0.0)
    silence.says_itself("a", online=False)
    assert silence.next_at() is None
    assert silence.heard("a", 10.0)


def test_nobody_goes_offline_while_nobody_can_be_heard(silence: Silence) -> None:
    """And after the connection is back each has its full time."""
    silence.heard("a", 0.0)
    silence.heard("b", 50.0)
    silence.stop_listening()
    assert silence.next_at() is None
    assert silence.overdue(1000.0, 10) == []
    silence.listen(1000.0)
    assert silence.next_at() == 1100.0
    silence.heard("c", 1050.0)
    assert silence.overdue(1100.0, 10) == ["a", "b"]


def test_who_was_online_before_the_start_has_its_time_from_the_start(silence: Silence) -> None:
    """Also if it is looked up after others were heard; and if it was heard, that counts."""
    silence.heard("a", 30.0)
    silence.expect("b")
    silence.expect("a")
    assert silence.overdue(100.0, 10) == ["b"]
    assert silence.overdue(130.0, 10) == ["b", "a"]


def test_the_tables_are_bounded(silence: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot be watched is not made online either."""
    monkeypatch.setattr(module, "WATCHED_DEVICES", 2)
    monkeypatch.setattr(module, "OWN_PRESENCES", 2)
    assert [silence.heard(device, 0.0) for device in "abca"] == [True, True, False, True]
    for device in "xyz":
        silence.says_itself(device, online=True)
    silence.forget("a")
    assert [silence.heard(device, 0.0) for device in "zyx"] == [False, False, True]
