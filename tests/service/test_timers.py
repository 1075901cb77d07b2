"""One task does everything that is due, and sleeps in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.service.timers import Timers


class Alarm:
    """Acts at the times that it is given, and writes down when it did."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)
        self.asked = 0
        self.acted: asyncio.Queue[float] = asyncio.Queue()

    def next_at(self, _now: float) -> float | None:
        """The next of its times."""
        self.asked += 1
        return min(self.times, default=None)

    async def act(self, now: float) -> None:
        """Write it down."""
        self.times = [time for time in self.times if time > now]
        self.acted.put_nowait(now)


@asynccontextmanager
async def running(*alarms: Alarm) -> AsyncIterator[Timers]:
    """Timers at work."""
    timers = Timers(asyncio.get_running_loop().time)
    task = asyncio.create_task(timers.run(alarms))
    try:
        yield timers
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_each_acts_when_it_is_due() -> None:
    """At once what is past, later what is not, and each by itself."""
    now = asyncio.get_running_loop().time()
    late, later = Alarm(now - 5, now + 0.1), Alarm(now + 0.05)
    async with running(late, later), asyncio.timeout(20):
        assert await late.acted.get() >= now
        assert await later.acted.get() >= now + 0.05
        assert await late.acted.get() >= now + 0.1


async def test_an_earlier_deadline_wakes_the_task() -> None:
    """It does not sleep to the end of the longer one, nor for ever where there was none."""
    alarm = Alarm()
    async with running(alarm) as timers, asyncio.timeout(20):
        await asyncio.sleep(0)
        alarm.times.append(0.0)
        timers.wake()
        await alarm.acted.get()
        alarm.times.append(asyncio.get_running_loop().time() + 3600)
        timers.wake()
        await asyncio.sleep(0.01)
        alarm.times.append(0.0)
        timers.wake()
        await alarm.acted.get()


async def test_nothing_is_done_while_nothing_is_due() -> None:
    """The deadlines are looked at when the task is woken, not again and again."""
    alarm = Alarm(asyncio.get_running_loop().time() + 3600)
    async with running(alarm):
        await asyncio.sleep(0)
        before = alarm.asked
        await asyncio.sleep(0.1)
        assert alarm.asked == before
