"""`Device`: a device in a Python program, with threads and paho-mqtt around a `DeviceSession`."""

from __future__ import annotations

import logging
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

from bridge.core.compression import Compression
from bridge.core.limits import Limits
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.device.boot import Sealing, begin
from bridge.device.connection import ConnectionSettings, Protocol
from bridge.device.dispatcher import Dispatcher
from bridge.device.events import (
    Answered,
    DeltaCleared,
    DeltaReceived,
    Event,
    GetAnswered,
    GetRefused,
    ReportDeferred,
    ReportRefused,
    ResyncRequested,
    StateReceived,
    Twin,
)
from bridge.device.handlers import Handlers
from bridge.device.journal import FileJournal
from bridge.device.kept import Restored
from bridge.device.payload import Encoding, JsonObject
from bridge.device.pump import Pump
from bridge.device.report import Answer, Report
from bridge.device.session import DeviceSession
from bridge.device.waiters import Waiters
from bridge.device.whole_state import WholeState
from bridge.errors import NotAnswered, Refused

CLOSE_TIMEOUT_S = 5.0
"""Time that leaving the `with` block waits for the last answers."""

DeltaHandler = TypeVar("DeltaHandler", bound=Callable[[JsonObject], object])
RefusalHandler = TypeVar("RefusalHandler", bound=Callable[[ReportRefused], object])
ResyncHandler = TypeVar("ResyncHandler", bound=Callable[[], Mapping[str, object]])

_logger = logging.getLogger("syncbridge.device")


class Device:
    """One device: reports its state, and is told what is wanted of it.

    Every report is sent again and again until the bridge has answered it. All methods may be called
    from any thread, and from handlers.

    ```python
    with Device("lamp-1", host="127.0.0.1") as lamp:
        lamp.on_delta(lambda wanted: lamp.report(wanted))
        lamp.report({"on": False}).wait(timeout_s=5)
    ```

    Args:
        device_id: Its id, and its client id at the broker.
        host: Of the broker.
        port: Of the broker.
        username: At the broker.
        password: At the broker.
        tls: Where the broker wants TLS: a context, such as `make_tls_context()` returns.
        prefix: Of all topics.
        name: Of the twin, where the device has several; each then has its own `Device` and
            connection, but presence is the device's, and the last one to say something counts.
        protocol: MQTT's version; brokers that speak only one of them speak 3.1.1.
        keepalive_s: After about one and a half times this a dead connection is noticed.
        window: Reports in flight at most.
        capacity: Reports that wait at most; more raise `OutboxFull`.
        retry_after_s: Time after which an unanswered report is sent again.
        encoding: Of what is sent.
        outbox: A file that keeps unanswered reports over a restart; without one they are kept in
            memory.
        limits: The bridge's bounds on a report, where its operator has changed them.
        compression: Of reports: `none`, `zlib`, `zstd`, or `dictionary` for zstd with the bridge's.
        sealing: The file with the device's key, where it seals what it sends and opens what it
            gets; while its keys are being changed the new one's, and then that of the one before.
            Files with keys of groups may follow: with these `state_of` opens what is retained.

    Raises:
        ValueError: An argument is out of its range.
        JournalError: The outbox cannot be used.
        ConfigError: A file of `sealing` cannot be read, or holds no key.
    """

    def __init__(
        self,
        device_id: str,
        *,
        host: str = "127.0.0.1",
        port: int = 1883,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        prefix: str = "sync",
        name: str = "",
        protocol: Protocol = "3.1.1",
        keepalive_s: int = 30,
        window: int = 8,
        capacity: int = 1000,
        retry_after_s: float = 5.0,
        encoding: Encoding = "json",
        outbox: Path | str | None = None,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        compression: Compression = "none",
        sealing: Sealing | None = None,
    ) -> None:
        new_boot, envelope, limits = begin(device_id, sealing, limits)
        topic = TopicGrammar(prefix).topic(TwinKey(device_id, name), "report")
        self._journal = None if outbox is None else FileJournal(Path(outbox), topic)
        try:
            self._session = DeviceSession(
                device_id,
                boot=new_boot(),
                prefix=prefix,
                name=name,
                window=window,
                capacity=capacity,
                retry_after_s=retry_after_s,
                encoding=encoding,
                limits=limits,
                journal=self._journal,
                compression=compression,
                restored=Restored() if self._journal is None else self._journal.restored,
                envelope=envelope,
                new_boot=new_boot,
            )
            settings = ConnectionSettings(
                host=host,
                port=port,
                client_id=f"{device_id}.{name}" if name else device_id,
                username=username,
                password=password,
                tls=tls,
                protocol=protocol,
                keepalive_s=keepalive_s,
            )
            self._waiters = Waiters()
            self._pump = Pump(self._session, settings, self._waiters, self._handle)
        except BaseException:
            if self._journal is not None:
                self._journal.close()
            raise
        self._dispatcher = Dispatcher(f"syncbridge-{settings.client_id}-handlers")
        self._started = False
        self._reports: weakref.WeakValueDictionary[int, Report] = weakref.WeakValueDictionary()
        self._results: dict[str, Twin | Refused | None] = {}
        self._key = TwinKey(device_id, name)
        self._handlers = Handlers(self._dispatcher, self._waiters)
        self._whole_state = WholeState(
            self._session,
            self._dispatcher,
            self._handlers,
            self._waiters,
            limits,
            self._pump.wake,
        )

    @property
    def connected(self) -> bool:
        """True while there is a connection to the broker."""
        return self._pump.connected

    @property
    def unanswered(self) -> int:
        """Reports that wait for their reply, or for being sent."""
        with self._waiters.changed:
            return self._session.unanswered

    def start(self) -> None:
        """Connect, in the background, and keep connected; the `with` block does it too.

        Raises:
            DeviceError: The device was closed.
        """
        with self._waiters.changed:
            self._waiters.check_open()
            if self._started:
                return
            self._started = True
        self._dispatcher.start()
        self._pump.start()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Wait so long for the last answers, say `offline` and disconnect. Idempotent.

        What is unanswered then is lost, and logged, unless there is an outbox that keeps it.
        """
        if self._started and not self._waiters.closed and timeout_s > 0:
            try:
                self.flush(timeout_s)
            except NotAnswered as error:
                _logger.debug("closing: %s", error)
        with self._waiters.changed:
            if self._waiters.closed:
                return
            self._waiters.closed = True
            self._waiters.changed.notify_all()
        if self._started:
            self._pump.stop()
            self._dispatcher.stop()
        self._log_unanswered()
        if self._journal is not None:
            self._journal.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(CLOSE_TIMEOUT_S if error is None else 0.0)

    def report(self, patch: Mapping[str, object], *, full: bool = False) -> Report:
        """Report what has changed, as a merge patch (RFC 7396): None removes a field.

        Returns at once. Patches that cannot be sent yet become one, where that does the same. The
        bridge is told the newest version of the twin that the program has been given, be it by a
        handler or by `get`: what the program has seen, it may replace.

        Args:
            patch: What has changed.
            full: The patch is everything: what it does not name is removed.

        Returns:
            What the bridge's answer can be waited for with.

        Raises:
            ValueError: No bridge takes it; the message says why.
            OutboxFull: Too much waits already.
            JournalError: The outbox's file cannot be written.
            DeviceError: The device was closed.
        """
        with self._waiters.changed:
            self._waiters.check_open()
            seen = self._handlers.given_version
            call = self._session.report(patch, time.monotonic(), full=full, seen=seen)
            self._whole_state.reported(patch, full=full)
            handle = self._reports[call] = Report(self._waiters)
            self._pump.wake()
        return handle

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until all reports are answered, refused ones included.

        Raises:
            NotAnswered: They were not in time, or the device was closed.
        """
        with self._waiters.changed:
            self._waiters.wait_for(
                lambda: self._session.unanswered == 0, timeout_s, "not all reports were answered"
            )

    def on_delta(self, handler: DeltaHandler) -> DeltaHandler:
        """Have a function called with what is wanted and not yet reported; also a decorator.

        It is called with all of it, at every change, and at once if there is something already.
        Whoever obeys reports what has come of it; then the delta vanishes. An exception is logged.
        """
        with self._waiters.changed:
            self._handlers.add_for_deltas(handler)
        return handler

    def on_refused(self, handler: RefusalHandler) -> RefusalHandler:
        """Have a function called with each report that the bridge refuses; also a decorator."""
        with self._waiters.changed:
            self._handlers.add_for_refusals(handler)
        return handler

    def on_resync(self, handler: ResyncHandler) -> ResyncHandler:
        """Have a function called when the bridge asks for everything; also a decorator.

        It returns all that the device has to report, and that is reported, full. The last one
        registered counts. An exception is logged, and the bridge asks again.

        Without one, what this process has reported is repeated: full where one of its reports was
        full, and else only as a patch.
        """
        with self._waiters.changed:
            self._whole_state.handler = handler
        return handler

    def get(self, timeout_s: float = 5.0) -> Twin:
        """Ask the bridge for this device's twin.

        The last one is kept, so that the bridge sends only what has changed since.

        Raises:
            Refused: The bridge refuses; its code is 404 where there is no twin yet.
            NotAnswered: There was no answer in time.
            OutboxFull: Too many requests are under way.
            DeviceError: The device was closed.
        """
        twin = self._request(self._session.get, timeout_s, "the twin did not come", own=True)
        return cast("Twin", twin)

    def state_of(self, device_id: str, timeout_s: float = 5.0, *, name: str = "") -> Twin | None:
        """Fetch another device's twin: what is retained, or else what the bridge answers.

        Returns:
            The twin; None where the bridge says that there is none.

        Raises:
            Refused: The bridge refuses, for another reason.
            NotAnswered: Neither the broker nor the bridge had it in time.
            OutboxFull: Too many requests are under way.
            DeviceError: The device was closed.
        """
        ask = partial(self._session.request_state, device_id, name=name)
        own = TwinKey(device_id, name) == self._key
        return self._request(ask, timeout_s, f"the state of {device_id} did not come", own=own)

    def _request(
        self, ask: Callable[[float], str], timeout_s: float, what: str, *, own: bool
    ) -> Twin | None:
        with self._waiters.changed:
            self._waiters.check_open()
            request_id = ask(time.monotonic())
            self._pump.wake()
            try:
                self._waiters.wait_for(lambda: request_id in self._results, timeout_s, what)
                result = self._results.pop(request_id)
            finally:
                self._session.forget(request_id)
                self._pump.wake()
            if isinstance(result, Twin) and own:
                self._handlers.give(result.version)
        if isinstance(result, Refused):
            raise result
        return result

    def _handle(self, event: Event) -> None:
        """Follow an event of the session, on the pump's thread, with the lock held."""
        match event:
            case DeltaReceived():
                self._handlers.delta_received(event)
            case DeltaCleared():
                self._handlers.delta_cleared()
            case Answered():
                answer = Answer(event.version, event.changed, event.duplicate, event.superseded)
                self._settle(event.calls, answer)
            case ReportRefused():
                self._note_refused(event)
            case ReportDeferred():
                _logger.warning(
                    "the bridge cannot take reports now (%d %s); trying again in %.1f s",
                    event.code,
                    event.message,
                    event.delay_s,
                )
            case ResyncRequested():
                self._whole_state.requested(event)
            case GetAnswered(request_id, twin):
                self._results[request_id] = twin
            case StateReceived(request_id, _, _, twin_or_none):
                self._results[request_id] = twin_or_none
            case GetRefused(request_id, code, error, message):
                self._results[request_id] = Refused(code, error, message)

    def _note_refused(self, event: ReportRefused) -> None:
        _logger.error(
            "report %d was refused and is not sent again: %d %s: %s",
            event.seq,
            event.code,
            event.error,
            event.message,
        )
        self._settle(event.calls, event)
        self._handlers.refused(event)

    def _settle(self, calls: range, outcome: Answer | ReportRefused) -> None:
        if len(calls) > len(self._reports):
            waiting = [call for call in list(self._reports) if call in calls]
        else:
            waiting = list(calls)
        for call in waiting:
            report = self._reports.pop(call, None)
            if report is not None:
                report.settle(outcome)

    def _log_unanswered(self) -> None:
        unanswered = self._session.unanswered
        if unanswered:
            kept = "are lost" if self._journal is None else "wait in the outbox for the next start"
            _logger.warning("closed with %d unanswered report(s), which %s", unanswered, kept)
