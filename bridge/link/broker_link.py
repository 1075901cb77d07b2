"""The link: connects, and connects again, until it is stopped, in the version the broker speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random, SystemRandom
from typing import Final, NamedTuple

from bridge.errors import LinkError, LinkLost
from bridge.link import reasons
from bridge.link.base import (
    Answered,
    Backlog,
    LinkListener,
    LinkSettings,
    Message,
    ProtocolVersion,
    Publication,
    Session,
)
from bridge.link.connection import Connection
from bridge.link.failure_log import FailureLog
from bridge.link.inbox import Inbox
from bridge.link.mqtt5_connection import Mqtt5Connection
from bridge.link.paho_connection import PahoConnection
from bridge.link.protocol_choice import ProtocolChoice
from bridge.link.publish_window import PublishWindow
from bridge.link.reconnect import backoff
from bridge.logs import RateLimited, get_logger

_CONNECTIONS: Final[dict[ProtocolVersion, type[Connection]]] = {
    "5": Mqtt5Connection,
    "3.1.1": PahoConnection,
}

_log = get_logger("link")


class _End(NamedTuple):
    """How a connection ended, and for how many seconds it had stood."""

    error: LinkError
    stood_s: float


class BrokerLink:
    """A connection to a broker that keeps itself up; implements `bridge.link.base.Link`.

    Made and used within one running event loop.

    Args:
        settings: How to connect.
        random: Where the jitter of the reconnects comes from.
    """

    def __init__(self, settings: LinkSettings, *, random: Random | None = None) -> None:
        self._settings = settings
        self._random = random or SystemRandom()
        self._address = f"{settings.host}:{settings.port}"
        self._clock = asyncio.get_running_loop().time
        self._choice = ProtocolChoice(settings.protocol)
        self._inbox = Inbox(settings.qos0_waiting_maximum, settings.receive_maximum)
        self._window = PublishWindow(settings.publish_window)
        self._failures = FailureLog(self._clock)
        self._limited_log = RateLimited(_log, self._clock, lines_per_key=1)
        self._drops_logged = 0
        self._generation = 0
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self, listener: LinkListener) -> None:
        """Begin to connect; see `bridge.link.base.Link`."""
        if self._task is not None:
            raise RuntimeError("a link is started once")
        self._task = asyncio.create_task(self._run(listener), name=f"link to {self._address}")

    async def stop(self) -> None:
        """Disconnect cleanly; see `bridge.link.base.Link`."""
        self._inbox.close(reasons.stopped(self._address))
        if self._task is None:
            return
        if not self._stopping:
            # Cancelled again, it would give up waiting for the end of the connection.
            self._stopping = True
            self._task.cancel()
        await asyncio.wait({self._task})
        self._window.fail_all(reasons.stopped(self._address))

    async def receive(self, max_messages: int, max_bytes: int) -> Sequence[Message]:
        """Wait for messages; see `bridge.link.base.Link`."""
        if self._inbox.dropped_qos0 != self._drops_logged:
            self._log_drops()
        return await self._inbox.take(max_messages, max_bytes)

    def drop(self, reason: str) -> None:
        """End the present connection and connect again; see `bridge.link.base.Link`."""
        if self._connection is not None:
            self._connection.drop(reason)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK; see `bridge.link.base.Link`."""
        if self._connection is not None:
            self._connection.acknowledge(messages)

    def send(self, publication: Publication, answered: Answered) -> None:
        """Publish at QoS 1; see `bridge.link.base.Link`."""
        if self._connection is None:
            raise LinkLost(f"there is no connection to the broker at {self._address}")
        self._connection.send(publication, answered)

    def publish(self, publication: Publication) -> asyncio.Future[None]:
        """Publish at QoS 1; see `bridge.link.base.Link`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(error: LinkError | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
                return
            future.set_exception(error)
            # A caller that does not look at it misses nothing: asyncio need not complain.
            future.exception()

        self.send(publication, answered)
        return future

    @property
    def publish_slots(self) -> int:
        """How many more publishes fit into the window now."""
        return 0 if self._connection is None else self._connection.publish_slots

    @property
    def session(self) -> Session | None:
        """The present connection, or None."""
        return None if self._connection is None else self._connection.session

    @property
    def dropped_qos0(self) -> int:
        """Messages of QoS 0 that were dropped since the start."""
        return self._inbox.dropped_qos0

    @property
    def backlog(self) -> Backlog:
        """What waits in `receive` now."""
        return self._inbox.backlog

    @property
    def connections(self) -> int:
        """Connections since the start."""
        return self._generation + (self.session is not None)

    async def _run(self, listener: LinkListener) -> None:
        try:
            error = await self._connect_until_hopeless(listener)
            self._failures.given_up(error)
            self._inbox.close(error)
            self._window.fail_all(error)
            listener.disconnected(error)
        except Exception:  # noqa: BLE001 - whatever the listener raises
            # Whoever waits in `receive` must not wait for ever for a task that is dead.
            _log.exception("the link failed")
            failed = LinkError(
                f"the link to {self._address} failed; see the log", recoverable=False
            )
            self._inbox.close(failed)
            self._window.fail_all(failed)

    async def _connect_until_hopeless(self, listener: LinkListener) -> LinkError:
        """Connect again and again; returns the error that ends it."""
        pauses = self._pauses()
        while True:
            end = await self._connect_once(listener)
            if end is None:
                continue
            if not end.error.recoverable:
                return end.error
            # Two links that take one session from each other, on a broker that does not say so,
            # never get there: they end up doing it at the longest pause only.
            if end.stood_s > self._settings.backoff_max_s:
                pauses = self._pauses()
            pause_s = next(pauses)
            self._failures.failed(end.error, pause_s)
            listener.disconnected(end.error)
            await asyncio.sleep(pause_s)

    async def _connect_once(self, listener: LinkListener) -> _End | None:
        """Run one connection from its beginning to its end.

        Returns:
            How it ended; None where another version of MQTT is to be tried at once.
        """
        connection = _CONNECTIONS[self._choice.current](
            self._settings, self._generation + 1, self._inbox, self._window
        )
        self._connection = connection
        try:
            session = await connection.open(
                self._choice.answer_timeout_s(self._settings.connect_timeout_s)
            )
            connected_at = self._clock()
            self._choice.worked()
            self._log_session(session)
            listener.connected(session)
            return _End(await connection.hold(), self._clock() - connected_at)
        except LinkError as error:
            tried = self._choice.current
            if connection.was_unanswered and self._choice.unanswered(
                version_refused=connection.version_refused
            ):
                _log.info(f"no answer in MQTT {tried}; trying {self._choice.current}")
                return None
            return _End(error, stood_s=0.0)
        finally:
            self._connection = None
            if connection.was_accepted:
                self._generation += 1
            await connection.close()

    def _pauses(self) -> Iterator[float]:
        return backoff(self._settings.backoff_min_s, self._settings.backoff_max_s, self._random)

    def _log_session(self, session: Session) -> None:
        away_s = self._failures.recovered()
        _log.info(
            "connected to the broker",
            address=self._address,
            protocol=session.protocol,
            session_present=session.session_present,
            **({} if away_s is None else {"away_s": round(away_s, 1)}),
        )

    def _log_drops(self) -> None:
        self._drops_logged = self._inbox.dropped_qos0
        self._limited_log.warning(
            "messages of QoS 0 are dropped, because too many wait",
            key="dropped_qos0",
            dropped_in_all=self._drops_logged,
        )
