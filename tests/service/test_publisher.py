"""What is published when, seen on a link that only writes down."""

from __future__ import annotations

import asyncio
import time

from bridge import metrics
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import LinkError, LinkLost, PublishRefused
from bridge.link.base import Answered, Publication, Session
from bridge.logs import RateLimited, get_logger
from bridge.service import publisher as module
from bridge.service.publisher import Publisher
from bridge.service.twin_publication import TwinPublication


class RecordingLink:
    """A link whose broker answers when the test says so."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.sent: list[Publication] = []
        self.waiting: list[Answered] = []
        self.is_gone = False
        self.session: Session | None = None

    @property
    def publish_slots(self) -> int:
        """What is free."""
        return self.window - len(self.waiting)

    def send(self, publication: Publication, answered: Answered) -> None:
        """Write it down."""
        if self.is_gone:
            raise LinkLost("gone")
        self.sent.append(publication)
        self.waiting.append(answered)

    async def answer(self, count: int = 1_000_000, error: LinkError | None = None) -> None:
        """Acknowledge, or lose, the oldest publishes, and let what follows happen."""
        answered, self.waiting = self.waiting[:count], self.waiting[count:]
        for tell in answered:
            tell(error)
        for _ in range(3):
            await asyncio.sleep(0)

    def topics(self) -> list[str]:
        """The topics of what was sent."""
        return [publication.topic for publication in self.sent]


def make_publisher(window: int) -> tuple[RecordingLink, Publisher]:
    """A publisher of JSON on a recording link."""
    link = RecordingLink(window)
    log = RateLimited(get_logger("test"), time.monotonic)
    publisher = Publisher(link, TopicGrammar(), "json", metrics.Counters(), log)  # type: ignore[arg-type]
    return link, publisher


def state(device: str, version: int, *, delta: bytes | None = None) -> TwinPublication:
    """A publication of a twin; with a delta if one is given."""
    content = b'{"version":%d}' % version
    return TwinPublication(
        TwinKey(device), version, content, delta, delta is not None, False, version
    )


async def test_only_the_newest_of_what_waits_is_sent_and_one_at_a_time() -> None:
    """While one is in flight, the next ones replace each other."""
    link, publisher = make_publisher(10)
    publisher.offer([state("a", 1)])
    publisher.pump()
    for version in (2, 3, 4):
        publisher.offer([state("a", version)])
        publisher.pump()
    assert [p.payload for p in link.sent] == [b'{"version":1}']
    await link.answer()
    assert [p.payload for p in link.sent] == [b'{"version":1}', b'{"version":4}']
    await link.answer()
    assert publisher.take_acknowledged(everything=True) == [(TwinKey("a"), 4)]


async def test_what_was_on_its_way_before_is_not_the_rebuild_of_a_twin() -> None:
    """The same version is published again, as it is to be now; a loss makes it no live update."""
    link, publisher = make_publisher(10)
    publisher.offer([state("a", 5)])
    publisher.pump()
    publisher.offer([state("a", 5)], rebuild=True)
    link.window = 1  # The next one has to wait for a slot.
    publisher.offer([state("b", 1)])
    await link.answer()
    rebuilt = asyncio.create_task(publisher.wait_until_rebuilt())
    await asyncio.sleep(0)
    assert link.topics() == ["sync/a/state", "sync/b/state"]
    assert not rebuilt.done()
    await link.answer()
    assert link.topics()[2:] == ["sync/a/state"]
    assert not rebuilt.done()
    await link.answer(error=LinkLost("cut"))
    assert publisher.backlog.rebuilding == 1
    publisher.pump()
    # A newer one is as good, and may have the next behind it.
    publisher.offer([state("a", 6)])
    await link.answer()
    await rebuilt


async def test_a_lost_publish_is_repeated_with_the_newest_version_and_its_delta() -> None:
    """The delta of the lost one is not forgotten."""
    link, publisher = make_publisher(10)
    publisher.offer([state("a", 1, delta=b'{"d":1}')])
    publisher.pump()
    publisher.offer([state("a", 2)])
    await link.answer(error=LinkLost("cut"))
    publisher.pump()
    assert link.topics()[2:] == ["sync/a/state", "sync/a/delta"]
    assert link.sent[2].payload == b'{"version":2}'


async def test_a_window_smaller_than_a_twins_parts_holds_nothing_up() -> None:
    """Parts go as the window allows; the twin is done when the last is acknowledged."""
    link, publisher = make_publisher(1)
    publisher.offer([state("a", 1, delta=b"{}")])
    publisher.offer([state("b", 1)])
    publisher.pump()
    for _ in range(3):
        await link.answer()
    assert link.topics() == ["sync/a/state", "sync/a/delta", "sync/b/state"]
    assert publisher.take_acknowledged(everything=True) == [(TwinKey("a"), 1), (TwinKey("b"), 1)]


async def test_a_twin_that_changes_all_the_time_keeps_its_place() -> None:
    """The others do not overtake it for ever."""
    link, publisher = make_publisher(1)
    publisher.offer([state("hot", 1)])
    for number in range(5):
        publisher.offer([state(f"other-{number}", 1)])
    publisher.offer([state("hot", 2)])
    publisher.pump()
    assert link.topics() == ["sync/hot/state"]


async def test_one_twin_at_a_time_is_measured_until_it_is_acknowledged() -> None:
    """The next one after it; and one that was lost with its connection is not counted."""
    link, publisher = make_publisher(10)
    measured = publisher._counters.stages.histograms[metrics.PUBLISH]
    publisher.offer([state(device, 1) for device in "abc"])
    publisher.pump()
    await link.answer()
    assert sum(measured.counts) == 1
    publisher.offer([state("a", 2)])
    publisher.pump()
    link.is_gone = True
    await link.answer(error=LinkLost("cut"))
    assert sum(measured.counts) == 1
    link.is_gone = False
    publisher.pump()
    await link.answer()
    assert sum(measured.counts) == 2
    assert publisher.backlog == (0, 0, 0, 0, 0)


async def test_what_waits_is_told() -> None:
    """By kind: twins, those that are rebuilt, those in flight, messages, bytes."""
    link, publisher = make_publisher(2)
    publisher.offer([state(device, 1) for device in "abc"])
    publisher.offer([state("d", 1)], rebuild=True)
    publisher.pump()
    publisher.reply(Publication("reply", b""))
    publisher.tell(Publication("event", b""))
    waiting_bytes = len(state("c", 1).state) + len(state("d", 1).state)
    assert publisher.backlog == (1, 1, 2, 2, waiting_bytes)
    assert len(link.waiting) == 2


async def test_replies_and_twins_share_the_window() -> None:
    """Neither starves the other."""
    link, publisher = make_publisher(4)
    for number in range(20):
        publisher.reply(Publication(f"reply-{number}", b""))
        publisher.offer([state(f"t{number}", 1)])
    publisher.pump()
    assert link.topics() == ["reply-0", "reply-1", "sync/t0/state", "sync/t1/state"]


async def test_rebuilding_comes_last_and_does_not_put_live_twins_back() -> None:
    """A twin that is due stays due, at its newer version."""
    link, publisher = make_publisher(2)
    publisher.offer([state("rebuilt", 1)], rebuild=True)
    publisher.offer([state("live", 5)])
    publisher.offer([state("live", 4)], rebuild=True)
    publisher.pump()
    assert [p.payload for p in link.sent] == [b'{"version":5}', b'{"version":1}']
    waiting = asyncio.create_task(publisher.wait_until_rebuilt())
    await asyncio.sleep(0)
    assert not waiting.done()
    await link.answer()
    await waiting


async def test_a_connection_that_is_gone_stops_the_pump() -> None:
    """Nothing is lost, and it does not turn for ever."""
    link, publisher = make_publisher(5)
    link.is_gone = True
    publisher.reply(Publication("reply", b""))
    publisher.offer([state("a", 1, delta=b"{}")])
    publisher.pump()
    link.is_gone = False
    publisher.pump()
    assert link.topics() == ["reply", "sync/a/state", "sync/a/delta"]


async def test_waiting_replies_are_bounded_in_number_and_bytes() -> None:
    """The oldest go; whoever asked asks again."""
    link, publisher = make_publisher(0)
    for number in range(module.WAITING_REPLIES + 3):
        publisher.reply(Publication(str(number), b""))
    megabyte = b"x" * 1024 * 1024
    link.window = 1
    publisher.pump()
    assert link.topics() == ["3"]
    for _ in range(module.WAITING_BYTES // len(megabyte) + 5):
        publisher.reply(Publication("large", megabyte))
    assert publisher._replies.size_bytes <= module.WAITING_BYTES


async def test_events_come_after_replies_and_are_bounded_by_themselves() -> None:
    """However many there are, no reply is dropped for them; and the end waits for them."""
    link, publisher = make_publisher(0)
    for number in range(module.WAITING_EVENTS + 3):
        publisher.tell(Publication(f"event-{number}", b""))
    publisher.reply(Publication("reply", b""))
    link.window = 3
    publisher.pump()
    assert link.topics() == ["reply", "event-3", "event-4"]
    link.window = 2 * module.WAITING_EVENTS
    publisher.pump()
    assert len(link.sent) == module.WAITING_EVENTS + 1


async def test_the_end_waits_for_events() -> None:
    """What has happened is told before the goodbye."""
    link, publisher = make_publisher(0)
    publisher.tell(Publication("event", b""))
    idle = asyncio.create_task(publisher.wait_until_idle())
    await asyncio.sleep(0)
    assert not idle.done()
    link.window = 1
    publisher.pump()
    await idle


async def test_an_event_whose_connection_is_lost_is_sent_again() -> None:
    """It may come twice."""
    link, publisher = make_publisher(5)
    publisher.tell(Publication("event", b""))
    publisher.pump()
    await link.answer(error=LinkLost("cut"))
    publisher.pump()
    assert link.topics() == ["event", "event"]


async def test_what_has_time_waits_while_much_is_due() -> None:
    """States and deltas count."""
    link, publisher = make_publisher(0)
    large = b"x" * (module.WAITING_BYTES // 2 + 1)
    publisher.offer([TwinPublication(TwinKey("a"), 1, large, large, True, False, 1)])
    waiting = asyncio.create_task(publisher.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    link.window = 5
    publisher.pump()
    await waiting


async def test_a_refused_version_does_not_come_after_a_newer_one() -> None:
    """The newer one that waits takes over what the refused one would have done beside."""
    link, publisher = make_publisher(10)
    publisher.offer([state("a", 5, delta=b"{}")])
    publisher.pump()
    publisher.offer([state("a", 6)])

    await link.answer(error=PublishRefused("t", "Quota exceeded"))
    await link.answer()
    publisher.retry_refused()

    assert [publication.payload for publication in link.sent[-2:]] == [b'{"version":6}', b""]
    assert link.topics()[-1] == "sync/a/delta"
    assert publisher.take_acknowledged(everything=True) == [(TwinKey("a"), 6)]
