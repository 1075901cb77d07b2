"""A device in the field, with network and time played by the test."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Callable

import pytest

from device_sim.device import SimulatedDevice
from device_sim.faults import DeviceClock, FaultPlan, FaultyLine, Strike, parse_fault
from device_sim.field_device import FieldDevice, Surroundings
from device_sim.kinds import KINDS, Kind
from device_sim.payload import decode
from device_sim.wire import Outgoing

_SLEEPER = Kind(
    "sleeper",
    "a lamp that sleeps",
    KINDS["lamp"].fields,
    KINDS["lamp"].messages,
    sleep_after_s=5.0,
)


class _Connection:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.sent: list[Outgoing] = []
        self.done: list[str] = []

    @property
    def is_open(self) -> bool:
        return not self.lost.is_set()

    def publish(self, message: Outgoing) -> None:
        self.sent.append(message)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Do nothing."""

    def disconnect(self) -> None:
        self._end("disconnect")

    async def close(self) -> None:
        self._end("close")

    def abandon(self) -> None:
        self._end("abandon")

    def stall(self) -> None:
        self.done.append("stall")

    def desert(self) -> None:
        self._end("desert")

    def _end(self, how: str) -> None:
        self.done.append(how)
        self.lost.set()


class _World:
    """A device with all that surrounds it."""

    def __init__(self, *faults: str, kind: Kind = KINDS["lamp"]) -> None:
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        model = SimulatedDevice(
            "lamp-1",
            kind,
            clock=lambda: self.now,
            answered=lambda *_: None,
            touched=lambda _: None,
            renew=lambda patch, off_s: self.field.renew(patch, off_s),
        )
        around = Surroundings("sync", "json", self.later, self.counts)
        decided = FaultPlan(1, tuple(map(parse_fault, faults))).of_device("lamp-1")
        line = None
        if decided is not None:
            line = FaultyLine(
                decided,
                now_s=lambda: self.now,
                later=self.later,
                counts=self.counts,
                happen=lambda strike: self.field.happen(strike),
                clock=DeviceClock(0, decided.traits),
            )
        self.field = FieldDevice(
            model,
            around,
            boots=(f"boot{number}" for number in itertools.count(1)),
            factory=lambda: {"on": False},
            line=line,
            keeps_session=any("session=yes" in each for each in faults),
        )
        self.field.switch_on("boot0")
        self.connection = self.connect()
        self.field.report({"on": True}, full=True)

    def later(self, delay_s: float, callback: Callable[[], None], /) -> None:
        heapq.heappush(self._later, (self.now + delay_s, next(self._numbers), callback))

    def connect(self) -> _Connection:
        connection = _Connection()
        self.field.up(connection)
        return connection

    def wait(self, duration_s: float) -> None:
        end = self.now + duration_s
        while self._later and self._later[0][0] <= end:
            self.now, _, callback = heapq.heappop(self._later)
            callback()
        self.now = end

    def strike(self, text: str) -> None:
        fault = parse_fault(f"{text},every=1m")
        self.field.happen(Strike(self.now, fault, fault.by_s, 0.0))

    def reconnect(self) -> list[dict[str, object]]:
        """Take the connection for lost, connect anew; returns the reports that are sent."""
        self.field.down()
        self.connection = self.connect()
        documents = [decode(each.payload) or {} for each in self.connection.sent if not each.retain]
        return [dict(each) for each in documents]


@pytest.mark.parametrize(
    ("fault", "boot", "state"),
    [
        ("restart,for=3s", "boot1", {"on": True}),
        ("forget-boot,for=3s", "boot0", {"on": True}),
        ("reflash,for=3s", "boot1", {"on": False}),
    ],
)
def test_a_restart_begins_another_boot(fault: str, boot: str, state: dict[str, object]) -> None:
    """It vanishes, is away for its time, and reports everything as its message 1."""
    world = _World()
    world.strike(fault)
    assert world.connection.done == ["abandon"]
    world.wait(2.9)
    assert not world.field.wanted.is_set()
    world.field.report({"brightness_pct": 7})
    world.wait(0.1)
    assert world.field.wanted.is_set()
    (report,) = world.reconnect()
    metadata = report.pop("$")
    assert isinstance(metadata, dict)
    assert (metadata["boot"], metadata["seq"], metadata["full"]) == (boot, 1, True)
    assert report == state == world.field.device.believed
    assert world.counts == {fault.partition(",")[0]: 1}
    assert world.field.device.counts.forgotten == 1


def test_a_half_open_connection_is_noticed_in_the_end() -> None:
    """Until then the device believes that it is online."""
    world = _World()
    world.strike("half-open,for=10s")
    world.wait(9)
    assert world.connection.done == ["stall"]
    assert world.field.device.online
    world.wait(1)
    assert world.connection.done == ["stall", "desert"]
    assert world.field.wanted.is_set()


def test_a_broken_connection_comes_back_with_or_without_its_session() -> None:
    """After its time; the report that was unanswered is sent again."""
    world = _World("reconnect=0%,session=yes")
    assert world.field.client().clean
    for session in ("yes", "no"):
        world.strike(f"reconnect,for=2s,session={session}")
        assert not world.field.wanted.is_set()
        world.wait(2)
        assert world.field.wanted.is_set()
        client = world.field.client()
        assert client.clean is (session == "no")
        assert client.session_expiry_s > 0
        assert [report["on"] for report in world.reconnect()] == [True]


def test_a_power_cut_lasts_until_the_power_is_back() -> None:
    """Reports are not made meanwhile, and other faults have nothing to strike."""
    world = _World()
    world.field.cut_power()
    world.field.cut_power()
    assert world.connection.done == ["abandon"]
    world.field.report({"on": False})
    world.strike("restart")
    world.wait(1000)
    assert not world.field.wanted.is_set()
    assert world.field.is_cut_off
    world.field.restore_power()
    world.field.restore_power()
    assert world.field.has_power
    assert world.reconnect()[0]["on"] is True
    assert not world.counts


def test_a_sleeper_disconnects_and_wakes_to_report() -> None:
    """Only when nothing is left to say, and not any more when the run is to end."""
    world = _World(kind=_SLEEPER)
    for _ in range(3):
        world.wait(10)
        world.field.rest(world.now)
    assert not world.field.is_asleep  # Its report is unanswered.
    world.field.device.client().received(
        "sync/lamp-1/reply/lamp-1", b'{"$":{"id":"boot0.1","ok":true,"version":1}}'
    )
    world.field.rest(world.now)
    world.wait(5)
    world.field.rest(world.now)
    assert world.field.is_asleep
    assert world.connection.done == ["disconnect"]
    assert b'"online":false' in world.connection.sent[-1].payload
    assert not world.field.wanted.is_set()
    world.field.report({"on": False})
    assert world.field.wanted.is_set()
    world.field.stay_awake()
    world.field.rest(world.now + 100)
    assert not world.field.is_asleep


def test_new_firmware_is_there_after_a_restart() -> None:
    """What was desired is so from then on."""
    world = _World()
    world.field.renew({"color": {"r": 9}}, 4.0)
    world.wait(4)
    (report,) = world.reconnect()
    del report["$"]
    assert report == {"on": True, "color": {"r": 9}}


def test_a_clock_that_steps_back_shows_in_the_reports() -> None:
    """The stamps of what is sent afterwards are older."""
    world = _World("clock-ahead=0%", "loss=0%")
    world.wait(7200)
    world.strike("clock-back,by=1h")
    world.field.report({"on": False})
    metadata = (decode(world.connection.sent[-1].payload) or {})["$"]
    assert isinstance(metadata, dict)
    assert metadata["t"] == 3600 * 1_000_000


def test_a_reply_may_be_lost_on_its_way_to_the_device() -> None:
    """Then its report stays unanswered."""
    world = _World("loss=100%")
    world.field.client().received(
        "sync/lamp-1/reply/lamp-1", b'{"$":{"id":"boot0.1","ok":true,"version":1}}'
    )
    assert world.field.device.unanswered == 1
    world.field.end_faults()
    world.field.client().received(
        "sync/lamp-1/reply/lamp-1", b'{"$":{"id":"boot0.1","ok":true,"version":1}}'
    )
    assert world.field.device.unanswered == 0


def test_after_the_end_of_faults_everything_goes_through() -> None:
    """Converging needs that."""
    world = _World("loss=100%")
    sent = len(world.connection.sent)
    world.field.end_faults()
    world.field.report({"on": False})
    assert len(world.connection.sent) == sent + 1
