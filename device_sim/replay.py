"""Publishes recorded documents as a device would, and compares the twin with the last of them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.device import (
    Answered,
    DeviceSession,
    Encoding,
    GetAnswered,
    GetRefused,
    JsonObject,
    ReportRefused,
    ResyncRequested,
    Twin,
)
from bridge.errors import LinkLost, NotAnswered, Refused, SyncbridgeError
from device_sim.broker import Broker
from device_sim.document import differences, patches_between, visible
from device_sim.mqtt311_connection import Mqtt311Network
from device_sim.summary import TwinDifference
from device_sim.wire import Client, Connection

PATIENCE_S = 15.0
"""How long the bridge may be silent; three attempts of a session fit into it."""

_QOS = 1


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of a replay.

    Attributes:
        device: As which it was published.
        documents: How many there were.
        reports: In how many reports they were published; a document like the one before needs none.
        acknowledged: Reports answered with ok.
        version: Of the twin afterwards.
        differences: Where `reported` is not the last document less its nulls.
    """

    device: str
    documents: int
    reports: int
    acknowledged: int
    version: int
    differences: tuple[TwinDifference, ...]

    @property
    def ok(self) -> bool:
        """The twin is the last document less its nulls."""
        return not self.differences

    def to_json(self) -> JsonObject:
        """Return the result for programs. The keys are stable; new ones may come."""
        return {
            "ok": self.ok,
            "device": self.device,
            "documents": self.documents,
            "reports": self.reports,
            "acknowledged": self.acknowledged,
            "version": self.version,
            "differences": [difference.to_json() for difference in self.differences],
        }


def read_documents(path: Path) -> list[JsonObject]:
    """Read a file: one JSON document, or one a line where it is named `.jsonl`.

    Raises:
        ValueError: It is not that; the message says where.
        OSError: It cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".jsonl":
        return [_read_document(text, str(path))]
    lines = enumerate(text.splitlines(), start=1)
    return [_read_document(line, f"{path}:{number}") for number, line in lines if line.strip()]


def _read_document(text: str, where: str) -> JsonObject:
    try:
        document: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{where}: a device reports an object")  # noqa: TRY004 (about a file)
    _check_keys(document, where)
    return document


def _check_keys(document: JsonObject, where: str) -> None:
    for key, value in document.items():
        if key.startswith("$"):
            raise ValueError(f"{where}: keys that start with $ are reserved, such as {key!r}")
        if isinstance(value, dict):
            _check_keys(value, where)


async def replay(
    documents: Sequence[JsonObject],
    device: str,
    *,
    broker: Broker,
    prefix: str = "sync",
    encoding: Encoding = "json",
) -> ReplayResult:
    """Publish the first document whole and then what changed from each to the next.

    Every report waits for the reply to the one before, so that each is a version of its own.

    Raises:
        ConnectRefused: The broker cannot be reached, or refused the connection.
        LinkLost: The connection ended meanwhile.
        NotAnswered: No bridge answered.
        Refused: The bridge refused a report.
        ValueError: There are no documents, or one of them, or the device's id, is nothing that a
            bridge takes.
    """
    if not documents:
        raise ValueError("there are no documents to replay")
    async with Mqtt311Network(broker) as network:
        session = DeviceSession(device, boot=secrets.token_hex(8), prefix=prefix, encoding=encoding)
        player = _Player(session)
        await player.connect(network)
        before: JsonObject = {}
        for number, document in enumerate(documents):
            after = visible(document)
            if number == 0:
                # With its nulls: that is how a device says it.
                await player.report(document, full=True)
            else:
                for patch in patches_between(before, after):
                    await player.report(patch)
            before = after
        twin = await player.get()
        player.say_goodbye()
    return ReplayResult(
        device=device,
        documents=len(documents),
        reports=player.reports,
        acknowledged=player.acknowledged,
        version=twin.version,
        differences=tuple(
            TwinDifference(device, "reported", ".".join(path), expected, actual)
            for path, expected, actual in differences(before, twin.reported)
        ),
    )


class _Player:
    """A session on a connection, whose every step is waited for."""

    def __init__(self, session: DeviceSession) -> None:
        self.reports = 0
        self.acknowledged = 0
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._arrived = asyncio.Event()
        self._twin: Twin | None = None
        self._error: SyncbridgeError | None = None

    async def connect(self, network: Mqtt311Network) -> None:
        subscriptions = tuple((topic, _QOS) for topic in self._session.subscriptions)
        client = Client(self._session.device_id, subscriptions, self._received, self._session.will)
        self._connection = await network.connect(client)
        self._session.connected(self._loop.time())

    async def report(self, patch: JsonObject, *, full: bool = False) -> None:
        self.reports += 1
        self._session.report(patch, self._loop.time(), full=full)
        await self._until(lambda: self._session.unanswered == 0)

    async def get(self) -> Twin:
        self._session.get(self._loop.time())
        await self._until(lambda: self._twin is not None)
        if self._twin is None:
            raise RuntimeError("waited for a twin, and there is none")
        return self._twin

    def say_goodbye(self) -> None:
        if self._connection is not None:
            self._connection.publish(self._session.will)

    async def _until(self, done: Callable[[], bool]) -> None:
        if self._connection is None:
            raise RuntimeError("not connected")
        deadline = self._loop.time() + PATIENCE_S
        while True:
            now = self._loop.time()
            for message in self._session.outgoing(now):
                self._connection.publish(message)
            if self._error is not None:
                raise self._error
            if done():
                return
            if self._connection.lost.is_set():
                raise LinkLost("the broker closed the connection", hint="its log says why")
            if now >= deadline:
                raise NotAnswered(
                    f"no bridge has answered for {PATIENCE_S:g} s",
                    hint="start one with `syncbridge run --broker …`, or check --prefix",
                )
            due = self._session.next_due_s()
            await self._wait(min(deadline, deadline if due is None else due) - now)

    async def _wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(max(timeout_s, 0.01)):
                await self._arrived.wait()
        except TimeoutError:
            return
        self._arrived.clear()

    def _received(self, topic: str, payload: bytes) -> None:
        for event in self._session.received(topic, payload, self._loop.time()):
            if isinstance(event, Answered):
                self.acknowledged += 1
            elif isinstance(event, GetAnswered):
                self._twin = event.twin
            elif isinstance(event, ResyncRequested):
                if self._session.answer_resync(self._loop.time()) is not None:
                    self.reports += 1
            elif isinstance(event, ReportRefused | GetRefused):
                self._error = Refused(event.code, event.error, event.message)
        self._arrived.set()
