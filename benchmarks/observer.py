"""An observer with a connection of its own: what a consumer of the retained states would see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

import orjson

from benchmarks.client import Client, open_client, reopen_client
from benchmarks.packets import Publish
from benchmarks.updates import COUNTER, Stream

SECTIONS: Final = ("reported", "desired")


class State(NamedTuple):
    """One published state: its version, its bytes, and both sections."""

    version: int
    payload: bytes
    sections: dict[str, dict[str, int]]


class Reply(NamedTuple):
    """One answer of the bridge to an update."""

    device: str
    requester: str
    request_id: str
    version: int
    duplicate: bool
    superseded: bool


class Observer:
    """Checks, as it arrives, what the bridge publishes; collects it for what is checked later.

    Args:
        prefix: Of all topics.
        replayable: (device, section) whose updates carry no `seq`: delivered again they are
            applied again, so their content may go back until what followed has come again too.

    Attributes:
        violations: What must not happen, one line each.
        newest: Device -> the newest state.
        first: Device -> the first state.
        counters: (device, version, section) -> the counter in that section.
        replies: Answers, in order.
        on_reply: Called with each of them.
        states: How many states arrived.
        repeats: How many of them were the newest version again.
        replayed: How often content went back where it may.
        stale_retained: Older versions that a broker served to a new subscription.
        bridge_online: What the status topic last said.
        bridge_since: Since when, as it said; it names the bridge's connection.
    """

    def __init__(self, prefix: str, replayable: Collection[tuple[str, str]] = ()) -> None:
        self._prefix = prefix
        self._replayable = replayable
        self._status_topic = f"{prefix}/$bridge/status"
        self._client: Client | None = None
        self._arrived = asyncio.Event()
        self.violations: list[str] = []
        self.newest: dict[str, State] = {}
        self.first: dict[str, State] = {}
        self.counters: dict[tuple[str, int, str], int] = {}
        self.replies: list[Reply] = []
        self.on_reply: Callable[[Reply], None] | None = None
        self.states = 0
        self.repeats = 0
        self.replayed = 0
        self.stale_retained = 0
        self.bridge_online = False
        self.bridge_since = 0

    async def connect(self, port: int, *, again: bool = False) -> None:
        """Connect and subscribe; `again`: to a broker that is being started."""
        connect = reopen_client if again else open_client
        self._client = await connect(port, "observer", on_publish=self.take)
        self.bridge_online = False
        filters = [f"{self._prefix}/+/state", f"{self._prefix}/+/reply/+", self._status_topic]
        await self._client.subscribe(filters, 1)

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.close()

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition on what was seen holds; False if it does not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return condition()
        return True

    async def wait_for_bridge(self, since: int, timeout_s: float) -> None:
        """Wait until the bridge is online on a connection that is newer than one of `since`.

        Raises:
            TimeoutError: It is not.
        """
        if not await self.wait_until(
            lambda: self.bridge_online and self.bridge_since > since, timeout_s
        ):
            raise TimeoutError(f"the bridge was not online within {timeout_s} s")

    def behind(self, streams: Iterable[Stream]) -> list[Stream]:
        """Return the streams whose newest update is not visible yet."""
        return [stream for stream in streams if self._counter(stream) < stream.sent]

    def _counter(self, stream: Stream) -> int:
        state = self.newest.get(stream.device)
        return 0 if state is None else state.sections[stream.section].get(COUNTER, 0)

    def take(self, publish: Publish) -> None:
        """Read and check one message."""
        try:
            self._read(publish)
        except (KeyError, TypeError, ValueError) as error:
            self.violations.append(
                f"{publish.topic}: {publish.payload.decode(errors='replace')} cannot be read: "
                f"{type(error).__name__}: {error}"
            )
        self._arrived.set()

    def _read(self, publish: Publish) -> None:
        if publish.topic == self._status_topic:
            self._take_status(publish.payload)
        else:
            device, verb, *rest = publish.topic.removeprefix(self._prefix + "/").split("/")
            if verb == "reply":
                self._take_reply(device, rest[0], publish.payload)
            elif publish.payload:
                self._take_state(device, publish)
            else:
                self.newest.pop(device, None)

    def _take_status(self, payload: bytes) -> None:
        status = orjson.loads(payload)
        self.bridge_online = status["online"]
        self.bridge_since = status["since"]

    def _take_reply(self, device: str, requester: str, payload: bytes) -> None:
        head = orjson.loads(payload)["$"]
        if not head["ok"]:
            self.violations.append(f"{device}: an update was refused: {payload.decode()}")
            return
        reply = Reply(
            device,
            requester,
            head["id"],
            head["version"],
            bool(head.get("duplicate")),
            bool(head.get("superseded")),
        )
        self.replies.append(reply)
        if self.on_reply is not None:
            self.on_reply(reply)

    def _take_state(self, device: str, publish: Publish) -> None:
        self.states += 1
        document = orjson.loads(publish.payload)
        sections = {section: document[section] for section in SECTIONS}
        state = State(document["version"], publish.payload, sections)
        before = self.newest.setdefault(device, state)
        self.first.setdefault(device, state)
        if before is not state and publish.retain and state.version < before.version:
            # The broker's memory, not the bridge's doing: the bridge has yet to repair it.
            self.stale_retained += 1
            return
        if before is not state:
            self._compare(device, before, state)
        self.newest[device] = state
        for section in SECTIONS:
            counter = sections[section].get(COUNTER, 0)
            self.counters[device, state.version, section] = counter

    def _compare(self, device: str, before: State, state: State) -> None:
        if state.version < before.version:
            self.violations.append(
                f"{device}: the state went back from version {before.version} to {state.version}"
            )
        elif state.version == before.version:
            self.repeats += 1
            if state.payload != before.payload:
                self.violations.append(
                    f"{device}: version {state.version} was published with two contents: "
                    f"{before.payload.decode()} and {state.payload.decode()}"
                )
        for section in SECTIONS:
            older, newer = before.sections[section], state.sections[section]
            back = [name for name, value in older.items() if newer.get(name, 0) < value]
            if back and (device, section) in self._replayable:
                self.replayed += 1
            elif back:
                self.violations.append(
                    f"{device}: {section}.{back[0]} went back from {older[back[0]]} to "
                    f"{newer.get(back[0])} between versions {before.version} and {state.version}"
                )
