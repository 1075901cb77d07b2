"""A device's side of the protocol, without any I/O (design sections 2, 3 and 4).

Time is an argument, in seconds of any clock that never goes back; randomness is one too (`boot`).
The caller connects, subscribes, publishes what `outgoing` returns and hands in what arrives.
The session does not know a client library, does not lock and does not wait: `bridge.device.Device`
does that with threads, and the simulator with asyncio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bridge.core.compression import Compression
from bridge.core.limits import Limits
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.device.arguments import check_arguments, check_names
from bridge.device.envelope import CLEAR, Envelope
from bridge.device.events import (
    Answered,
    BootClosed,
    DeltaCleared,
    DeltaReceived,
    Event,
    GetAnswered,
    Ignored,
    OutgoingMessage,
    ReportDeferred,
    ReportRefused,
    StateReceived,
)
from bridge.device.hold import Hold
from bridge.device.kept import Journal, Restored
from bridge.device.outbox import InFlight, Outbox
from bridge.device.packing import Packing
from bridge.device.payload import (
    METADATA_KEY,
    Encoding,
    JsonObject,
    UnreadableError,
    decode,
    encode,
)
from bridge.device.replies import Reply, read_delta, read_reply, read_resync, read_twin
from bridge.device.requests import TwinRequests
from bridge.device.resync import Resync
from bridge.device.retry import TRY_LATER_CODES

BOOTS_CLOSED_MAX = 3
"""Boots that the bridge may close one after the other, with nothing of ours taken between: one that
closes each at once would have reports sent for ever."""

_BOOT_CLOSED = (401, "boot_closed")


class DeviceSession:
    """What one device, in one process, has to say and has been told.

    Args:
        device_id: The device.
        boot: A random string that differs at every start of the process, of 1 to 32 characters.
        prefix: Of all topics.
        name: Of the twin; empty for the unnamed one. Presence is the device's in any case.
        window: Reports in flight at most, 1 to 15.
        capacity: Reports that wait at most, in flight or not; more raise `OutboxFull`.
        retry_after_s: Time after which an unanswered report is sent again; it doubles with each
            attempt, up to `RETRY_MAX_S`, and starts anew with a new connection.
        encoding: Of what the device sends. Both are understood.
        limits: The bridge's bounds, where its operator has changed them.
        journal: Where to keep reports over a restart of the process.
        restored: What the journal had at the start.
        compression: Of reports. What arrives is opened however it is compressed.
        envelope: Seals what goes out and opens what comes; nothing does without it.
        new_boot: Returns another boot, which takes the place of one that the bridge has closed.
            Without it such reports count as refused.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        device_id: str,
        *,
        boot: str,
        prefix: str = "sync",
        name: str = "",
        window: int = 8,
        capacity: int = 1000,
        retry_after_s: float = 5.0,
        encoding: Encoding = "json",
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        journal: Journal | None = None,
        restored: Restored = Restored(),  # noqa: B008 (immutable)
        compression: Compression = "none",
        envelope: Envelope = CLEAR,
        new_boot: Callable[[], str] | None = None,
    ) -> None:
        check_arguments(device_id, boot, name, window, capacity, retry_after_s)
        self.device_id = device_id
        self.boot = boot
        self._grammar = TopicGrammar(prefix)
        self._key = TwinKey(device_id, name)
        self._report_topic = self._grammar.topic(self._key, "report")
        self._delta_topic = self._grammar.topic(self._key, "delta")
        self._reply_topic = self._grammar.topic(self._key, "reply", device_id)
        self._resync_topic = self._grammar.topic(self._key, "resync")
        self._presence_topic = self._grammar.topic(TwinKey(device_id), "presence")
        self._retry_after_s = retry_after_s
        self._encoding = encoding
        self._envelope = envelope
        self._outbox = Outbox(
            boot,
            window=window,
            capacity=capacity,
            encoding=encoding,
            limits=limits,
            journal=journal,
            restored=restored,
        )
        self._resync = Resync(self._resync_topic, self._outbox)
        self._requests = TwinRequests(self._grammar, self._key, boot, encoding, limits)
        self._packing = Packing(
            self._grammar, compression, limits, is_sealing=envelope is not CLEAR
        )
        self._connected = False
        self._presence_due: float | None = None
        self._hold = Hold(retry_after_s)
        self._new_boot = new_boot
        self._boots_closed = 0
        self._delta_version = 0
        self._seen = 0

    @property
    def will(self) -> OutgoingMessage:
        """The last will for CONNECT; also what to publish before a clean disconnect."""
        return self._presence(online=False)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topics to be subscribed to now, at QoS 1: three, and two for each `request_state`."""
        own = (self._delta_topic, self._reply_topic, self._resync_topic)
        return tuple(dict.fromkeys((*own, *self._packing.topics(), *self._requests.topics())))

    @property
    def unanswered(self) -> int:
        """Reports that wait for their reply, or for being sent."""
        return len(self._outbox)

    def report(
        self,
        patch: Mapping[str, object],
        now: float,
        *,
        full: bool = False,
        seen: int | None = None,
    ) -> int:
        """Take a merge patch (RFC 7396) of what the device reports.

        What is still unsent is composed with it into one report, where that does the same. That
        has the `seen` of the first of them.

        Args:
            patch: What has changed; None removes.
            now: The time.
            full: The patch is everything: what it does not name is removed.
            seen: The version of the twin that the program knew, 0 for none; where it is not given,
                that of the newest delta or own twin that `received` has returned.

        Returns:
            The number of this call, from 0, as `Answered.calls` and `ReportRefused.calls` have it.

        Raises:
            ValueError: No bridge takes it; the message says why.
            OutboxFull: There is no room for it.
            JournalError: The journal cannot be written.
        """
        return self._outbox.add(patch, now, full=full, seen=self._seen if seen is None else seen)

    def answer_resync(
        self, now: float, state: Mapping[str, object] | None = None, *, seen: int | None = None
    ) -> int | None:
        """Answer `ResyncRequested`, at once or later.

        Args:
            now: The time.
            state: Everything that the device has to report. None has what this process has
                reported repeated: it is full where the process has made a full report, and else
                the sum of its patches, which cannot remove what an earlier process has left.
            seen: As for `report`.

        Returns:
            As `report`; None if this process has reported nothing, and so there is no answer.

        Raises:
            ValueError: No bridge takes it; the message says why.
            OutboxFull: There is no room for it.
            JournalError: The journal cannot be written.
        """
        return self._resync.answer(state, now, seen=self._seen if seen is None else seen)

    def get(self, now: float) -> str:
        """Ask the bridge for the device's own twin.

        It is kept as it comes, so that the next time only what has changed is sent.

        Returns:
            An id that `GetAnswered` or `GetRefused` will have.

        Raises:
            OutboxFull: `REQUESTS_MAX` requests are under way.
        """
        return self._requests.add(self._key, now, with_state=False)

    def request_state(self, device_id: str, now: float, *, name: str = "") -> str:
        """Ask for another device's twin: its retained state, or the bridge's answer.

        Needs the subscriptions that `subscriptions` has from now on until `forget`; subscribe
        before publishing what `outgoing` returns.

        Returns:
            An id that `StateReceived` or `GetRefused` will have.

        Raises:
            ValueError: That is not a device's id, or not a twin's name.
            OutboxFull: `REQUESTS_MAX` requests are under way.
        """
        check_names(device_id, name)
        return self._requests.add(TwinKey(device_id, name), now, with_state=True)

    def forget(self, request_id: str) -> None:
        """Give up a request, if it is still under way."""
        self._requests.forget(request_id)

    def connected(self, now: float) -> None:
        """Start a connection: presence is due, and everything unanswered, in order."""
        self._connected = True
        self._presence_due = now
        self._hold.start_anew()
        for retry in (*self._outbox.retries(), *self._requests.retries()):
            retry.start_anew(now)

    def disconnected(self) -> None:
        """End the connection: nothing is due until the next."""
        self._connected = False

    def outgoing(self, now: float) -> list[OutgoingMessage]:
        """Return what is to be published now, in this order, and count it as sent."""
        if not self._connected:
            return []
        messages: list[OutgoingMessage] = []
        if self._presence_due is not None:
            self._presence_due = None
            messages.append(self._presence(online=True))
        if now >= self._hold.opens():
            messages += [
                self._envelope.report(self._report_topic, self._packing.pack(entry))
                for entry in self._hold.take_due(self._outbox, now)
            ]
        requests = self._requests.take_due(now, self._retry_after_s)
        return messages + [self._envelope.close(request) for request in requests]

    def next_due_s(self) -> float | None:
        """Return the time at which `outgoing` has something again, if nothing happens before.

        It is on the clock of `now`, and may have passed. None: not before an event.
        """
        if not self._connected:
            return None
        opens = self._hold.opens()
        due = [max(entry.retry.due, opens) for entry in self._outbox.in_flight()]
        due += [retry.due for retry in self._requests.retries()]
        if self._presence_due is not None:
            due.append(self._presence_due)
        sealable_since = self._outbox.sealable_since()
        if sealable_since is not None:
            due.append(max(sealable_since, opens))
        return min(due, default=None)

    def received(self, topic: str, payload: bytes, now: float) -> list[Event]:
        """Take a message that arrived; returns what it means.

        What comes late (a second reply, a state that is not waited for any more) means nothing,
        and neither does what was never subscribed to: amqtt sends that too.
        """
        events = self._follow(topic, payload, now)
        for event in events:
            self._seen = max(self._seen, self._version_of(event))
        return events

    def _version_of(self, event: Event) -> int:
        """Return the version of this session's twin that an event tells of; 0 where none."""
        match event:
            case DeltaReceived(version):
                return version
            case GetAnswered(_, twin):
                return twin.version
            case StateReceived(_, device, name, twin) if twin and (device, name) == self._key:
                return twin.version
            case _:
                return 0

    def _follow(self, topic: str, payload: bytes, now: float) -> list[Event]:
        own = (self._delta_topic, self._resync_topic, self._reply_topic)
        try:
            waited = self._packing.received(topic, payload)
            if waited is not None:
                return [event for late in waited for event in self._follow(*late, now)]
            if topic not in own and not self._requests.expect(topic):
                return []
            payload = self._packing.unpack(topic, self._envelope.open(topic, payload))
            if topic == self._delta_topic:
                return self._delta_received(payload)
            if topic == self._resync_topic:
                return self._resync.requested(read_resync(decode(payload)), now)
            document = decode(payload) if payload else {}
            if METADATA_KEY in document:
                return self._reply_received(topic, document, now)
            return self._requests.state_received(topic, read_twin(document) if document else None)
        except UnreadableError as error:
            return [Ignored(topic, str(error))]

    def _presence(self, *, online: bool) -> OutgoingMessage:
        payload = encode({"online": online, "boot": self.boot}, "json")
        message = OutgoingMessage(self._presence_topic, payload, retain=True)
        return self._envelope.close(message)

    def _delta_received(self, payload: bytes) -> list[Event]:
        if not payload:
            return [DeltaCleared()]
        delta = read_delta(decode(payload))
        if delta.version > self._delta_version:
            self._delta_version = delta.version
            return [delta]
        if delta.version == self._delta_version:
            return []
        reason = (
            f"version {delta.version} is older than {self._delta_version}, which was here before; "
            "if the bridge's store was replaced, start the device again"
        )
        return [Ignored(self._delta_topic, reason)]

    def _reply_received(self, topic: str, document: JsonObject, now: float) -> list[Event]:
        reply = read_reply(document)
        entry = self._outbox.find(reply.request_id)
        if entry is not None and topic == self._reply_topic:
            return [self._report_answered(entry, reply, now)]
        # Nothing may be under way with that id: what was sent twice is answered twice.
        return self._requests.reply_received(topic, reply, document, now, self._retry_after_s)

    def _report_answered(self, entry: InFlight, reply: Reply, now: float) -> Event:
        boot, seq, payload = entry.report
        if not reply.ok and reply.code in TRY_LATER_CODES:
            return self._deferred(entry, reply, now)
        if (reply.code, reply.error) == _BOOT_CLOSED and self._new_boot is not None:
            self._boots_closed += 1
            if self._boots_closed <= BOOTS_CLOSED_MAX:
                return self._begin_anew(boot, self._new_boot, now)
        elif reply.ok:
            self._boots_closed = 0
        self._hold.start_anew()
        self._outbox.settle(reply.request_id, taken=reply.ok)
        for retry in self._outbox.retries():
            retry.hurry(now, self._retry_after_s)
        if reply.ok:
            return Answered(
                boot=boot,
                seq=seq,
                calls=entry.calls,
                version=reply.version,
                changed=reply.changed,
                duplicate=reply.duplicate,
                superseded=reply.superseded,
            )
        patch = decode(payload)
        del patch[METADATA_KEY]
        return ReportRefused(
            boot=boot,
            seq=seq,
            calls=entry.calls,
            code=reply.code,
            error=reply.error,
            message=reply.message,
            patch=patch,
        )

    def _begin_anew(self, closed: str, new_boot: Callable[[], str], now: float) -> Event:
        """Send again in another boot what waits in one that was closed."""
        if closed == self.boot:
            self.boot = new_boot()
            # Told at once: the bridge passes over an `offline` of a boot that is not the newest.
            self._presence_due = now
        return BootClosed(closed, self.boot, self._outbox.begin_anew(closed, self.boot, now))

    def _deferred(self, entry: InFlight, reply: Reply, now: float) -> Event:
        """Send no reports for a while: whatever else is in flight would meet the same answer."""
        until = self._hold.refused(entry, self._outbox, reply, now)
        boot, seq, _ = entry.report
        return ReportDeferred(boot, seq, reply.code, reply.message, until - now)
