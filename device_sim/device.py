"""One simulated device: what it believes of itself, its session and its connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bridge.device import (
    Answered,
    DeltaCleared,
    DeltaReceived,
    DeviceSession,
    Encoding,
    Event,
    JsonObject,
    OutgoingMessage,
    ReportRefused,
    ResyncRequested,
)
from bridge.errors import OutboxFull
from device_sim.document import apply_patch, at_path, equal_by_value, leaves, nested, visible
from device_sim.kinds import Kind
from device_sim.wire import Client, Publisher

WINDOW = 8
"""Reports in flight at most."""

QUEUE_MAX = 1_000
"""Reports that wait here until they can be messages of their own, so that a device publishes the
same messages however slow the network is. A session joins what waits, and so it is done with what
is more: minutes of reports, while the bridge is away."""

_QOS = 1


@dataclass(slots=True)
class ReportCounts:
    """What became of a device's reports.

    Attributes:
        sent: Different messages published.
        repeated: Publishes of a message that had been published before.
        acknowledged: Replies with ok.
        refused: Replies without.
        duplicates: Of the acknowledged, those that the bridge had already.
        superseded: Of the acknowledged, those of which nothing took effect.
        dropped: Reports that the outbox had no room for; the device does not believe them.
        forgotten: Reports that were unanswered when the device lost its memory.
        deltas: Deltas that arrived and asked for something.
        obeyed: Reports in answer to a delta.
    """

    sent: int = 0
    repeated: int = 0
    acknowledged: int = 0
    refused: int = 0
    duplicates: int = 0
    superseded: int = 0
    dropped: int = 0
    forgotten: int = 0
    deltas: int = 0
    obeyed: int = 0


class SimulatedDevice:
    """A device of a kind. Driven by the fleet, on one event loop.

    Args:
        device_id: Its id, and its MQTT client id.
        kind: What it is.
        clock: Seconds of a clock that never goes back.
        answered: Called with the device's id, the reply, and the time at which the report was
            first published.
        touched: Called with the device's id whenever something has arrived for it.
        answer_delta: Called with what is desired and not so, and whether that is news; returns what
            the device does instead (perhaps nothing), or None where it obeys.
        renew: Called with what it should become, and the seconds that this takes, where that needs
            a restart; by default it becomes so at once.

    Attributes:
        believed: What it holds to be its state: the sum of what it has reported.
        counts: What became of its reports.
        acknowledged_version: The twin's version after the last acknowledged report.
        last_refusal: Why a report was refused, empty if none was.
    """

    def __init__(
        self,
        device_id: str,
        kind: Kind,
        *,
        clock: Callable[[], float],
        answered: Callable[[str, Answered, float], None],
        touched: Callable[[str], None],
        answer_delta: Callable[[JsonObject, bool], JsonObject | None] | None = None,
        renew: Callable[[JsonObject, float], None] | None = None,
    ) -> None:
        self.id = device_id
        self.kind = kind
        self.believed: JsonObject = {}
        self.counts = ReportCounts()
        self.acknowledged_version = 0
        self.last_refusal = ""
        self._clock = clock
        self._answered = answered
        self._touched = touched
        self._answer_delta = answer_delta
        self._renew = renew
        self._session: DeviceSession | None = None
        self._connection: Publisher | None = None
        # Messages by their sequence number, to know a repeat and when a report was published.
        self._in_flight: dict[int, tuple[bytes, float]] = {}
        self._known: set[bytes] = set()
        self._last_seq = 0
        self._delta: JsonObject = {}
        self._queue: deque[tuple[JsonObject, bool]] = deque()

    def switch_on(self, boot: str, *, prefix: str, encoding: Encoding) -> None:
        """Begin a boot; the device may be connected from now on."""
        self._session = DeviceSession(
            self.id, boot=boot, prefix=prefix, encoding=encoding, window=WINDOW
        )

    def restart(self, boot: str, state: JsonObject, *, prefix: str, encoding: Encoding) -> None:
        """Begin another boot, in which nothing of the one before is remembered but a state.

        Raises:
            RuntimeError: The device was never switched on.
        """
        self.counts.forgotten += self.unanswered
        self._switched_on()
        self._queue.clear()
        self._in_flight.clear()
        self._known.clear()
        self._last_seq = 0
        self._delta = {}
        self.switch_on(boot, prefix=prefix, encoding=encoding)
        self.report(state, full=True)

    @property
    def boot(self) -> str:
        """The boot in which it is.

        Raises:
            RuntimeError: The device was never switched on.
        """
        return self._switched_on().boot

    @property
    def is_on(self) -> bool:
        """It has been switched on."""
        return self._session is not None

    @property
    def online(self) -> bool:
        """It is connected."""
        return self._connection is not None

    @property
    def unanswered(self) -> int:
        """Reports that wait for their reply, or for being sent."""
        return len(self._queue) + (self._session.unanswered if self._session is not None else 0)

    def client(self) -> Client:
        """Return how to connect: with a last will."""
        session = self._switched_on()
        subscriptions = tuple((topic, _QOS) for topic in session.subscriptions)
        return Client(self.id, subscriptions, self._received, session.will)

    def up(self, connection: Publisher) -> None:
        """Publish presence, and what is unanswered."""
        self._connection = connection
        self._switched_on().connected(self._clock())
        self.flush()

    def down(self) -> None:
        """Wait for the next connection."""
        self._connection = None
        self._switched_on().disconnected()

    def report(self, patch: JsonObject, *, full: bool = False) -> None:
        """Believe a patch, and report it.

        Raises:
            RuntimeError: The device is not switched on.
        """
        self._switched_on()
        if len(self._queue) >= QUEUE_MAX:
            try:
                self._hand_over()
            except OutboxFull:
                self.counts.dropped += 1
                return
        if full:
            self.believed = visible(patch)
        else:
            apply_patch(self.believed, patch)
        self._queue.append((patch, full))
        self.flush()

    def flush(self) -> None:
        """Publish what is due."""
        self._publish_due()
        while self._queue and self._goes_out_at_once():
            self._hand_over()
            self._publish_due()

    def _goes_out_at_once(self) -> bool:
        """Tell whether the next report would be a message of its own."""
        in_flight = len(self._in_flight)
        return self.online and in_flight == self._switched_on().unanswered < WINDOW

    def _hand_over(self) -> None:
        patch, full = self._queue[0]
        self._switched_on().report(patch, self._clock(), full=full)
        self._queue.popleft()

    def _publish_due(self) -> None:
        if self._connection is None:
            return
        now = self._clock()
        for message in self._switched_on().outgoing(now):
            self._count(message, now)
            self._connection.publish(message)

    def say_goodbye(self) -> None:
        """Publish that it goes offline, before a disconnect in good order."""
        if self._connection is not None:
            self._connection.publish(self._switched_on().will)

    def unmet(self, desired: JsonObject) -> JsonObject:
        """Return the part of a desired document that the device obeys and has not met."""
        patch: JsonObject = {}
        for path, value in leaves(self.kind.obeyed(desired)):
            if not equal_by_value(value, at_path(self.believed, path)):
                apply_patch(patch, nested(path, value))
        return patch

    def _switched_on(self) -> DeviceSession:
        if self._session is None:
            raise RuntimeError(f"{self.id} is not switched on")
        return self._session

    def _count(self, message: OutgoingMessage, now: float) -> None:
        if message.retain:  # presence
            return
        if message.payload in self._known:
            self.counts.repeated += 1
            return
        # The session numbers reports in the order in which they first go out.
        self._last_seq += 1
        self._known.add(message.payload)
        self._in_flight[self._last_seq] = (message.payload, now)
        self.counts.sent += 1

    def _received(self, topic: str, payload: bytes) -> None:
        for event in self._switched_on().received(topic, payload, self._clock()):
            self._act_on(event)
        # A reply makes room for what waits.
        self.flush()
        self._touched(self.id)

    def _act_on(self, event: Event) -> None:
        if isinstance(event, DeltaReceived):
            self._delta = event.state
            self.counts.deltas += 1
            self._obey(is_new=True)
        elif isinstance(event, DeltaCleared):
            self._delta = {}
        elif isinstance(event, Answered):
            self.counts.acknowledged += 1
            self.counts.duplicates += event.duplicate
            self.counts.superseded += event.superseded
            self.acknowledged_version = max(self.acknowledged_version, event.version)
            self._answered(self.id, event, self._settle(event.seq))
            if not self.unanswered:
                self._obey(is_new=False)
        elif isinstance(event, ReportRefused):
            self.counts.refused += 1
            self.last_refusal = f"{event.code} {event.error}: {event.message}"
            self._settle(event.seq)
        elif isinstance(event, ResyncRequested):
            # Behind what waits here, which is part of it.
            self.report(self.believed, full=True)

    def _obey(self, *, is_new: bool) -> None:
        """Do and report what is desired.

        Not only when a delta arrives: one that did not ask for a change when it came may do so
        later, and it is not published again while it stays the same. For example the lamp is on
        and the report of that under way, a delta wants it on, and someone switches it off.
        """
        patch = self.unmet(self._delta)
        if not patch:
            return
        if self._answer_delta is not None:
            other = self._answer_delta(patch, is_new)
            if other is not None:
                if other:
                    self.report(other)
                return
        self.counts.obeyed += 1
        restarts_s = [
            self.kind.restarts[path] for path, _ in leaves(patch) if path in self.kind.restarts
        ]
        if restarts_s and self._renew is not None:
            self._renew(patch, max(restarts_s))
        else:
            self.report(patch)

    def _settle(self, seq: int) -> float:
        """Forget a message that was answered; returns when it was first published."""
        payload, sent_at = self._in_flight.pop(seq)
        self._known.discard(payload)
        return sent_at
