"""Faults as they are written, and what the seed decides of them; neither clock nor network."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.faults import FAULTS, Acts, DeviceClock, Fault, FaultPlan, Strike, parse_fault
from device_sim.faults.decisions import chance

_TEXTS = st.lists(
    st.sampled_from(
        [
            "loss=10%",
            "duplicate=0.3,by=1s",
            "reorder=20%,from=5s,until=20s",
            "cut=0.1,share=50%",
            "restart,every=7s",
            "half-open,at=3s+9s,spread=2s,for=1s",
            "reconnect=5%,session=yes",
            "delay,every=4s",
        ]
    ),
    max_size=6,
)
_SEEDS = st.integers(0, 1 << 40)


def _decisions(texts: list[str], seed: int, device: str) -> tuple[list[list[Strike]], list[Strike]]:
    """Return what is decided for fifty reports a second apart, and for the first fifty times."""
    faults = FaultPlan(seed, tuple(map(parse_fault, texts))).of_device(device)
    if faults is None:
        return [], []
    scheduled = list(itertools.islice(faults.scheduled(), 50))
    return [faults.on_report(float(number)) for number in range(50)], scheduled


@given(_TEXTS, _SEEDS)
def test_the_same_seed_decides_the_same(texts: list[str], seed: int) -> None:
    """Message by message and time by time, for each device."""
    assert _decisions(texts, seed, "lamp-1") == _decisions(texts, seed, "lamp-1")


@given(_TEXTS, _SEEDS)
def test_what_is_scheduled_comes_in_its_order(texts: list[str], seed: int) -> None:
    """However many faults have schedules."""
    _, scheduled = _decisions(texts, seed, "lamp-1")
    assert [each.at_s for each in scheduled] == sorted(each.at_s for each in scheduled)
    assert all(each.fault.holds(each.at_s) for each in scheduled)


def test_another_seed_another_device_and_another_fault_decide_differently() -> None:
    """Two of one kind do not strike together."""
    base = _decisions(["loss=50%"], 1, "lamp-1")
    assert base != _decisions(["loss=50%"], 2, "lamp-1")
    assert base != _decisions(["loss=50%"], 1, "lamp-2")
    twice, _ = _decisions(["loss=50%", "loss=50%"], 1, "lamp-1")
    assert {len(strikes) for strikes in twice} == {0, 1, 2}


def test_when_something_is_decided_changes_no_decision() -> None:
    """The time opens and closes a fault; it does not move what is drawn."""
    plan = FaultPlan(3, (parse_fault("loss=50%,from=10s"),))
    late, early = plan.of_device("x"), plan.of_device("x")
    assert late is not None
    assert early is not None
    for _ in range(20):
        assert early.on_report(0.0) == []
        late.on_report(20.0)
    assert [bool(early.on_report(20.0)) for _ in range(30)] == [
        bool(late.on_report(20.0)) for _ in range(30)
    ]


def test_probabilities_are_kept() -> None:
    """Of messages, of times and of devices."""
    faults = FaultPlan(1, (parse_fault("loss=20%"), parse_fault("restart,every=2s"))).of_device("x")
    assert faults is not None
    assert sum(bool(faults.on_report(0.0)) for _ in range(2000)) == pytest.approx(400, rel=0.2)
    assert sum(faults.on_reply(0.0) for _ in range(2000)) == pytest.approx(400, rel=0.2)
    times = itertools.takewhile(lambda each: each.at_s < 1000, faults.scheduled())
    assert sum(1 for _ in times) == pytest.approx(500, rel=0.2)
    plan = FaultPlan(1, (parse_fault("contrary=30%"), parse_fault("cut=1%,share=0.1")))
    devices = [plan.of_device(f"d{number}") for number in range(1000)]
    for kind, expected in (("contrary", 300), ("cut", 100)):
        found = sum(each is not None and each.has(kind) for each in devices)
        assert found == pytest.approx(expected, rel=0.25)


def test_a_number_is_drawn_evenly() -> None:
    """From 0 to below 1."""
    drawn = [chance(1, number) for number in range(1000)]
    assert all(0 <= each < 1 for each in drawn)
    assert sum(drawn) == pytest.approx(500, rel=0.1)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_written(name: str) -> None:
    """With what its kind needs, and its own parameters where they are not given."""
    kind = FAULTS[name]
    fault = parse_fault(name if kind.acts is Acts.TRAIT else f"{name},every=1m")
    assert fault.kind == name
    for key, value in kind.takes.items():
        held = {"by": fault.by_s, "for": fault.for_s, "rate": fault.rate_hz}.get(key)
        assert held == value or (key == "session" and not fault.with_session)


def test_what_is_written_is_what_is_meant() -> None:
    """Everything at once."""
    assert parse_fault(
        "reconnect=5%,every=1m,at=30s+10s,spread=2s,from=5s,until=2m,share=30%,for=4s,session=yes"
    ) == Fault(
        "reconnect", 0.05, 60.0, (10.0, 30.0), 2.0, 5.0, 120.0, 0.3, for_s=4.0, with_session=True
    )


def test_a_fault_is_moved_into_a_phase() -> None:
    """Its times are those of the phase, and it ends with it."""
    moved = parse_fault("delay,at=1s,from=1s").moved(10.0, 25.0)
    assert (moved.at_s, moved.start_s, moved.until_s) == ((11.0,), 11.0, 25.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("los=5%", "'los' is no fault: did you mean loss"),
        ("loss", "when\\? give a probability"),
        ("loss=150%", "not from 0 to 1"),
        ("loss=much", "not a share"),
        ("loss=5%,evry=1m", "loss takes no 'evry': did you mean every"),
        ("loss=5%,for=1m", "loss takes no 'for'"),
        ("delay=5%,by=long", "delay, by: 'long' is not a duration"),
        ("delay,every=0s", "above 0"),
        ("contrary=5%,every=1m", "not at times"),
        ("chatterbox=1%,rate=0", "not above 0"),
        ("chatterbox=1%,rate=fast", "not a number"),
        ("reconnect,every=1m,session=maybe", "neither yes nor no"),
        ("loss=5%,from=10s,until=5s", "from is before until"),
        ("loss=5%,share=x", "loss, share"),
    ],
)
def test_a_fault_that_is_wrong_is_explained(text: str, says: str) -> None:
    """With the near name."""
    with pytest.raises(ValueError, match=says):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "shows_s"),
    [
        ("clock-ahead,by=1h", 3700.0),
        ("clock-behind,by=1h", -3500.0),
        ("clock-drift,by=36s", 101.0),
        ("clock-ahead,by=1h,from=200s", 100.0),
        ("contrary", 100.0),
    ],
)
def test_a_clock_is_wrong_as_is_said(text: str, shows_s: float) -> None:
    """A hundred seconds after the start."""
    clock = DeviceClock(1_000_000_000_000, [parse_fault(text)])
    assert clock.now_us(100.0) == 1_000_000_000_000 + round(shows_s * 1_000_000)


def test_a_clock_that_was_never_set_begins_at_1970() -> None:
    """And one that steps back stays behind."""
    clock = DeviceClock(1_000_000_000_000, [parse_fault("clock-1970")])
    assert clock.now_us(100.0) == 100_000_000
    clock.step_back(60.0)
    assert clock.now_us(100.0) == 40_000_000
