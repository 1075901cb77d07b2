"""One round of torture: a broker, a bridge, a fleet and a checker of its own, and the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.client import open_client
from benchmarks.processes import ChildProcess, ProcessEndedError
from benchmarks.torture import damage
from benchmarks.torture.broker import TorturedBroker
from benchmarks.torture.launch import Launch
from benchmarks.torture.plan import Event, Life, Plan
from benchmarks.torture.status import StatusWatch
from benchmarks.torture.victim import Victim
from bridge.errors import ConnectRefused, NotAnswered
from device_sim.broker import Broker
from device_sim.checker import (
    Invariant,
    Ledger,
    StoredTwin,
    Verdict,
    Watcher,
    export_store,
    judge,
    line,
    read_ledger,
    read_retained,
)
from device_sim.endpoint import keep_connected
from device_sim.mqtt5_network import Mqtt5Network
from tests.link.relay import Relay

PREFIX: Final = "torture"

ONLINE_TIMEOUT_S: Final = 15.0
"""How long a bridge in trouble may take to be online before its life goes on regardless."""

POINT_TIMEOUT_S: Final = 8.0
"""A bridge that has not come to its point in this time is killed from outside."""

CONVERGE_S: Final = 90.0
"""How long it may take at the end until everything is answered, and then again until everything
is published: a rebuild of a lost broker on a busy machine."""

LOOK_AGAIN_S: Final = 0.5

_ON_ITS_WAY: Final = frozenset({Invariant.RETAINED_IS_STORED, Invariant.LAST_STATE_IS_SENT})
"""What may still come right: a state that is not published yet, and an update that the broker has
accepted and that asked for no answer, so that nobody has waited for it."""

_SETTINGS: Final = {
    # The checker reads the history from the first change on.
    "SYNCBRIDGE_STORE_HISTORY_CHANGES": "1000000",
    # So that a failing store makes the bridge drop its connection within a life.
    "SYNCBRIDGE_STORE_RETRY_TIMEOUT_S": "1",
    "SYNCBRIDGE_BROKER_KEEPALIVE_S": "5",
}


class Round:
    """Runs a plan.

    Args:
        plan: What to do.
        directory: For everything that it leaves behind.

    Attributes:
        figures: What happened, and how often.
    """

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.figures: Counter[str] = Counter()
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._broker = TorturedBroker(directory / "broker", plan.broker)
        self._ledger_file = directory / "ledger.jsonl"
        # What is sent is read from the fleet's ledger; replies are seen here.
        self._watcher = Watcher(PREFIX, Ledger(PREFIX, is_complete=True), reads_updates=False)
        self._status = StatusWatch(PREFIX)
        self._busy: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> Verdict:
        """Do it all.

        Raises:
            ProcessEndedError: The bridge or the fleet ended by itself.
            NotAnswered: Something did not come to rest, or could not be read.
        """
        began = time.monotonic()
        await self._broker.start()
        try:
            async with (
                Relay("127.0.0.1", self._broker.port) as self._bridge_line,
                Relay("127.0.0.1", self._broker.port) as self._device_line,
                Mqtt5Network(Broker(port=self._broker.port)) as self._network,
            ):
                verdict = await self._run()
        finally:
            await self._broker.stop()
        self.figures["broker kills"] = self._broker.kills
        self.figures["seconds"] = round(time.monotonic() - began)
        return verdict

    async def _run(self) -> Verdict:
        plan = self.plan
        settings = {**_SETTINGS, "SYNCBRIDGE_PUBLISH_REBUILD_PER_S": str(plan.rebuild_per_s)}
        self._victim = Victim(self._bridge_line.port, PREFIX, self._directory / "bridge", settings)
        if plan.begins_older:
            damage.make_old_store(self._victim.store)
        random = Random(f"{plan.seed} {plan.number} pauses")
        watching = [
            asyncio.create_task(keep_connected(self._network, each, random))
            for each in (self._watcher, self._status)
        ]
        try:
            await self._watcher.connected.wait()
            await self._found()
            async with self._fleet() as fleet:
                await self._victim.kill()
                self.figures["bridge kills"] += 1
                for life in plan.lives:
                    fleet.require_running()
                    await self._live(life)
                await self._settle()
                await self._victim.start(plan.last_launch)
                await self._finish(fleet)
            verdict = await self._judge()
            if plan.corrupts:
                await self._corrupt(verdict)
            await self._victim.stop()
            await self._check_store(verdict)
        finally:
            for task in (*watching, *self._busy):
                task.cancel()
            await asyncio.gather(*watching, *self._busy, return_exceptions=True)
            await self._victim.abandon()
        return verdict

    async def _found(self) -> None:
        """Have the store made, in spite of all, and a session, so that nothing is lost before."""
        for statement in self.plan.migrations:
            await self._victim.start(Launch("inside-migration", statement))
            await self._await_point(Life(Launch("inside-migration", statement)))
        await self._victim.start(Launch())
        if not await self._status.wait_for_another(None, CONVERGE_S):
            raise NotAnswered(f"the bridge did not start:\n{self._victim.log_end()}")

    def _fleet(self) -> ChildProcess:
        plan = self.plan
        options = {
            "--port": self._device_line.port,
            "--prefix": PREFIX,
            "--seed": plan.seed * 1000 + plan.number,
            "--devices": plan.devices,
            "--rate": plan.rate_per_s,
            "--ledger": self._ledger_file,
        }
        words = [str(word) for pair in options.items() for word in pair]
        return _Fleet(["benchmarks.torture.fleet", *words], self._directory / "fleet")

    # A life of the bridge.

    async def _live(self, life: Life) -> None:
        before = self._status.since
        await self._victim.start(life.launch)
        if life.is_awaited:
            online = asyncio.create_task(self._status.wait_for_another(before, ONLINE_TIMEOUT_S))
            # It may die at its point before it has said a word.
            dead = asyncio.create_task(self._victim.wait_until_dead(ONLINE_TIMEOUT_S))
            await asyncio.wait({online, dead}, return_when=asyncio.FIRST_COMPLETED)
            self.figures["bridge online"] += online.done() and online.result()
            for task in (online, dead):
                task.cancel()
            await asyncio.gather(online, dead, return_exceptions=True)
        for event in life.events:
            self._begin(self._happen(event))
        if life.launch.point is None:
            await asyncio.sleep(life.killed_after_s)
            await self._kill(life)
        else:
            await self._await_point(life)

    async def _await_point(self, life: Life) -> None:
        status = await self._victim.wait_until_dead(POINT_TIMEOUT_S)
        if status is None:
            await self._kill(life)
            return
        if status != -signal.SIGKILL:
            raise ProcessEndedError(
                f"the bridge ended by itself with {status}:\n{self._victim.log_end()}"
            )
        self.figures["bridge kills"] += 1
        self.figures[f"died {life.launch.point}"] += 1
        if life.broker_too:
            await self._kill_broker()

    async def _kill(self, life: Life) -> None:
        if life.broker_too:
            await asyncio.gather(self._victim.kill(), self._kill_broker())
            self.figures["both at once"] += 1
        else:
            await self._victim.kill()
        self.figures["bridge kills"] += 1
        self.figures["died at random"] += 1

    async def _kill_broker(self) -> None:
        async with self._one_at_a_time:
            await self._broker.kill_and_start()

    # What else happens.

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _settle(self) -> None:
        """Wait until nothing happens any more."""
        while self._busy:
            await asyncio.gather(*self._busy)

    async def _happen(self, event: Event) -> None:
        await asyncio.sleep(event.after_s)
        if event.kind != "disk-full":
            self.figures[event.kind] += 1
        victim = self._victim
        match event.kind:
            case "kill-broker":
                await self._kill_broker()
            case "stop-bridge":
                victim.send(signal.SIGSTOP)
                await asyncio.sleep(event.for_s)
                victim.send(signal.SIGCONT)
            case "stop-broker":
                # Not while it is killed: the signal would meet another process.
                async with self._one_at_a_time:
                    self._broker.send(signal.SIGSTOP)
                    await asyncio.sleep(event.for_s)
                    self._broker.send(signal.SIGCONT)
            case "disk-full":
                await self._fill_disk(event.for_s)
            case "cut-bridge":
                self._bridge_line.cut()
            case "cut-devices":
                self._device_line.cut()
            case "freeze-bridge":
                self._bridge_line.freeze()
                await asyncio.sleep(event.for_s)
                self._bridge_line.thaw()
            case "delay-bridge":
                self._bridge_line.delay_s = event.for_s / 10
                await asyncio.sleep(event.for_s)
                self._bridge_line.delay_s = 0.0

    async def _fill_disk(self, for_s: float) -> None:
        """Fill it under a bridge at work: one that is starting says so and ends, as it should."""
        if not self._victim.started.is_set():
            return
        self.figures["disk-full"] += 1
        with contextlib.suppress(ProcessEndedError):  # it is dead already
            self._victim.limit_files(1)
        await asyncio.sleep(for_s)
        with contextlib.suppress(ProcessEndedError):
            self._victim.limit_files(-1)

    # The end.

    async def _finish(self, fleet: ChildProcess) -> None:
        """Let the fleet come to its end, with everything answered."""
        self._broker.require_running()
        try:
            await fleet.stop()
        except NotAnswered as error:
            raise NotAnswered(f"{error.message}:\n{self._victim.log_end()}") from error
        self._victim.require_alive()

    async def _judge(self) -> Verdict:
        """Wait until what is retained is what is stored, or will not be, and judge."""
        deadline = time.monotonic() + CONVERGE_S
        while True:
            verdict = await self._judge_now()
            if verdict.ok or time.monotonic() > deadline or _is_final(verdict):
                self.figures.update(verdict.figures)
                self.figures["store said to be away"] = self._status.troubles
                return verdict
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _judge_now(self) -> Verdict:
        ledger = read_ledger([self._ledger_file], PREFIX)
        twins: dict[str, StoredTwin] = await export_store(self._victim.store)
        return judge(
            ledger,
            [self._watcher.sightings],
            twins=twins,
            retained=await read_retained(self._network, PREFIX),
            broker_kept=self.plan.broker == "kept",
        )

    async def _corrupt(self, verdict: Verdict) -> None:
        """Damage the store: the bridge must end over it; a backup is restored, and nothing is lost.

        The fleet is at rest, so that the backup has everything but one message, which the broker
        has to keep meanwhile.
        """
        found = await damage.damage_and_restore(self._victim, self._directory, self._poke)
        verdict.violations += found
        self.figures["pages corrupted"] += 1
        before = self._status.since
        await self._victim.start(Launch())
        # What the one before it said may arrive only now.
        await self._victim.wait_until_started(ONLINE_TIMEOUT_S)
        await self._status.wait_for_another(before, ONLINE_TIMEOUT_S)
        again = await self._judge()
        verdict.violations += [each for each in again.violations if each not in verdict.violations]

    async def _poke(self) -> None:
        """Report as a device of its own, in clear sight of the checker."""
        topic, payload = f"{PREFIX}/poker/report", b'{"poked":true}'
        client = await open_client(self._broker.port, "poker")
        client.publish(topic, payload)
        await client.all_acknowledged()
        await client.close()
        with self._ledger_file.open("ab") as ledger:
            for event in ("sent", "accepted"):
                ledger.write(line(event, topic, payload))

    async def _check_store(self, verdict: Verdict) -> None:
        verdict.violations += await damage.check_store(self._victim.store)


class _Fleet(ChildProcess):
    """The fleet's process: told to end, it first has everything answered."""

    async def stop(self) -> None:
        """Tell it to end, and wait for as long as that takes."""
        self.require_running()
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, CONVERGE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise NotAnswered(f"not everything was answered within {CONVERGE_S:g} s") from None
        finally:
            self._process = None
        if process.returncode:
            raise ProcessEndedError(f"the fleet ended with {process.returncode}: {self.log_text()}")


def _is_final(verdict: Verdict) -> bool:
    """Tell whether waiting cannot mend what was found."""
    return any(violation.invariant not in _ON_ITS_WAY for violation in verdict.violations)


def failure(error: ProcessEndedError | NotAnswered | ConnectRefused) -> str:
    """Return what kept a round from its end, as a line among the violations."""
    return f"{type(error).__name__}: {error}"
