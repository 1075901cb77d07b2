"""The layer between a device and its connection, with time played by the test."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable

from device_sim.faults import DeviceClock, FaultPlan, FaultyLine, Strike, parse_fault
from device_sim.payload import decode
from device_sim.wire import Note, Outgoing


class _World:
    """A clock, what is to be called later, and what was sent."""

    def __init__(self, *texts: str, clock: DeviceClock | None = None) -> None:
        self.now_s = 0.0
        self.sent: list[bytes] = []
        self.happened: list[str] = []
        self.counts: Counter[str] = Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        faults = FaultPlan(1, tuple(map(parse_fault, texts))).of_device("lamp-1")
        assert faults is not None
        self.line = FaultyLine(
            faults,
            now_s=lambda: self.now_s,
            later=self.later,
            counts=self.counts,
            happen=self.happen,
            clock=clock,
        )
        self.line.attach(self)

    def happen(self, strike: Strike) -> None:
        self.happened.append(strike.fault.kind)

    def publish(self, message: Outgoing) -> None:
        self.sent.append(message.payload)

    def later(self, delay_s: float, callback: Callable[[], None], /) -> None:
        heapq.heappush(self._later, (self.now_s + delay_s, next(self._numbers), callback))

    def report(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.line.publish(Note("sync/lamp-1/report", payload))

    def wait(self, duration_s: float) -> None:
        end_s = self.now_s + duration_s
        while self._later and self._later[0][0] <= end_s:
            self.now_s, _, callback = heapq.heappop(self._later)
            callback()
        self.now_s = end_s


def test_what_is_lost_is_not_sent() -> None:
    """And it is counted."""
    world = _World("loss=100%")
    world.report(b"1", b"2")
    world.wait(60)
    assert world.sent == []
    assert world.line.loses_reply()
    assert world.counts == {"loss": 3}


def test_presence_meets_no_fault() -> None:
    """It is retained, and nobody would repeat it."""
    world = _World("loss=100%")
    world.line.publish(Note("sync/lamp-1/presence", b"online", retain=True))
    assert world.sent == [b"online"]


def test_a_duplicate_is_sent_twice() -> None:
    """The second time within the time that is given."""
    world = _World("duplicate=100%,by=2s")
    world.report(b"1")
    assert world.sent == [b"1"]
    world.wait(2)
    assert world.sent == [b"1", b"1"]


def test_what_is_delayed_comes_late() -> None:
    """Within the time that is given."""
    world = _World("delay=100%,by=2s")
    world.report(b"1")
    assert world.sent == []
    world.wait(2)
    assert world.sent == [b"1"]


def test_what_is_reordered_is_overtaken_by_up_to_three() -> None:
    """One message of ten, here the one whose time it is."""
    world = _World("reorder,at=5s,by=10s")
    world.report(b"0")
    world.line.strike_next(_strike(world, "reorder,at=5s,by=10s", pick=0.5))
    world.report(b"1", b"2", b"3", b"4", b"5")
    assert world.sent == [b"0", b"2", b"3", b"1", b"4", b"5"]
    assert world.counts == {"reorder": 1}


def _strike(world: _World, text: str, pick: float = 0.0) -> Strike:
    fault = parse_fault(text)
    return Strike(world.now_s, fault, fault.by_s, pick)


def test_what_nothing_overtakes_goes_out_in_the_end() -> None:
    """When its time is up."""
    world = _World("reorder=100%,by=10s")
    world.report(b"1")
    world.wait(9)
    assert world.sent == []
    world.wait(1)
    assert world.sent == [b"1"]


def test_what_is_held_over_a_reconnect_comes_behind_what_is_newer() -> None:
    """Delayed or reordered, it is the past by then."""
    for text in ("delay,at=5s,by=1s", "reorder,at=5s,by=1s", "duplicate,at=5s,by=1s"):
        world = _World(text)
        world.line.strike_next(_strike(world, text))
        world.report(b"old")
        world.line.detach()
        world.sent.clear()
        world.wait(2)
        world.line.attach(world)
        assert world.sent == []
        world.report(b"new", b"newer")
        assert world.sent == [b"new", b"old", b"newer"]


def test_what_is_cut_has_lost_its_end() -> None:
    """Some bytes of it, or all."""
    world = _World("cut=100%")
    whole = b'{"on":true}'
    world.report(*[whole] * 20)
    assert len(set(world.sent)) > 3
    assert all(whole.startswith(each) and len(each) < len(whole) for each in world.sent)


def test_what_concerns_the_device_is_handed_on() -> None:
    """The report itself goes out."""
    world = _World("restart=100%", "half-open=100%")
    world.report(b"1")
    assert world.happened == ["restart", "half-open"]
    assert world.sent == [b"1"]


def test_at_the_end_nothing_is_held_back_and_nothing_happens() -> None:
    """A fleet converges without faults."""
    world = _World("reorder=100%,by=60s")
    world.report(b"1")
    assert world.line.held == 1
    world.line.end()
    world.report(b"2")
    assert world.sent == [b"1", b"2"]
    assert world.line.held == 0


def test_a_wrong_clock_stamps_reports_and_repeats_keep_their_stamp() -> None:
    """In both encodings; a repeat is the same bytes, or the bridge would take it for new."""
    clock = DeviceClock(0, [parse_fault("clock-1970")])
    world = _World("clock-1970", clock=clock)
    world.now_s = 7.0
    report = b'{"on":true,"$":{"seq":1}}'
    world.report(report)
    world.now_s = 9.0
    world.report(report, b'{"on":false,"$":{"seq":2}}', b"\x81\xa1$\x81\xa3seq\x03", b"{}")
    assert world.sent[0] == world.sent[1]
    stamps = [(decode(each) or {}).get("$") for each in world.sent]
    assert stamps == [
        {"seq": 1, "t": 7_000_000},
        {"seq": 1, "t": 7_000_000},
        {"seq": 2, "t": 9_000_000},
        {"seq": 3, "t": 9_000_000},
        None,
    ]
