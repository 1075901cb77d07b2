"""The layer between a device and its connection, in which messages meet their faults.

It is the device's, not the connection's: what it holds back may go out on a later connection, and
so arrive after what was sent later.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

from device_sim.faults.clock import DeviceClock
from device_sim.faults.decisions import DeviceFaults, Strike
from device_sim.payload import decode, encode
from device_sim.wire import Note, Outgoing, Publisher

HELD_MAX = 64
"""Messages held back at a time; further ones go out at once."""

STAMPED_MAX = 32
"""Messages whose stamp is remembered for their repeats: more than a device has in flight."""

_OVERTAKERS_MAX = 3


class Later(Protocol):
    """Calls something after a while: `loop.call_later`, or a test."""

    def __call__(self, delay_s: float, callback: Callable[[], None], /) -> object:
        """Call it in so many seconds."""


class _Held:
    """A message that waits until others have overtaken it, or until its time is up."""

    def __init__(self, message: Outgoing, overtakers: int) -> None:
        self.message = message
        self.overtakers = overtakers


class FaultyLine:
    """Carries a device's messages, and does to them what was decided.

    Args:
        faults: The decisions for the device.
        now_s: The time since the run began.
        later: Calls something after a while.
        counts: Where each fault is counted, by its kind.
        happen: Called with each strike that concerns the device and not the message.
        clock: The device's, if it stamps its reports; `$.t` is what it shows.
    """

    def __init__(
        self,
        faults: DeviceFaults,
        *,
        now_s: Callable[[], float],
        later: Later,
        counts: Counter[str],
        happen: Callable[[Strike], None],
        clock: DeviceClock | None = None,
    ) -> None:
        self._faults = faults
        self._now_s = now_s
        self._later = later
        self._counts = counts
        self._happen = happen
        self._clock = clock
        self._has_ended = False
        self._next: list[Strike] = []
        self._held: list[_Held] = []
        self._connection: Publisher | None = None
        self._stamped: OrderedDict[bytes, bytes] = OrderedDict()

    @property
    def held(self) -> int:
        """Messages that are held back."""
        return len(self._held)

    def attach(self, connection: Publisher) -> None:
        """Carry on over a connection."""
        self._connection = connection

    def detach(self) -> None:
        """Wait for the next connection; what is held stays held."""
        self._connection = None

    def strike_next(self, strike: Strike) -> None:
        """Have the next report meet a fault: its time has come."""
        self._next.append(strike)

    def publish(self, message: Outgoing) -> None:
        """Take a message of the device's. Only reports meet faults: presence is the broker's."""
        if message.retain:
            self._send(message)
            return
        if self._clock is not None:
            message = Note(message.topic, self._stamp(message.payload), message.qos)
        if self._has_ended:
            self._send(message)
            return
        strikes, self._next = self._next + self._faults.on_report(self._now_s()), []
        self._take(message, strikes)
        self._overtake()

    def loses_reply(self) -> bool:
        """Decide whether the next reply to the device is lost."""
        if self._has_ended or not self._faults.on_reply(self._now_s()):
            return False
        self._counts["loss"] += 1
        return True

    def step_clock_back(self, by_s: float) -> None:
        """Set the device's clock back, if its reports have one."""
        if self._clock is not None:
            self._clock.step_back(by_s)

    def end(self) -> None:
        """Send everything that is held back, and let everything through from now on."""
        self._has_ended = True
        held, self._held = self._held, []
        for each in held:
            self._send_late(each.message)

    def _take(self, message: Outgoing, strikes: list[Strike]) -> None:
        goes = True
        for strike in strikes:
            kind = strike.fault.kind
            if kind == "loss":
                goes = False
            elif kind == "cut":
                message = _cut(message, strike.pick)
            elif kind == "duplicate":
                self._send_later(message, strike.by_s)
            elif kind == "delay" and goes:
                goes = False
                self._send_later(message, strike.by_s)
            elif kind == "reorder" and goes and len(self._held) < HELD_MAX:
                goes = False
                self._hold(message, strike)
            elif kind in ("delay", "reorder"):
                continue
            else:
                # Counted where it is carried out: the device may be off already.
                self._happen(strike)
                continue
            self._counts[kind] += 1
        if goes:
            self._send(message)

    def _hold(self, message: Outgoing, strike: Strike) -> None:
        # One more than overtakes it: the message itself is counted first.
        held = _Held(message, 2 + int(strike.pick * _OVERTAKERS_MAX))
        self._held.append(held)
        self._later(strike.fault.by_s, lambda: self._release(held))

    def _release(self, held: _Held) -> None:
        if held in self._held:
            self._held.remove(held)
            self._send_late(held.message)

    def _overtake(self) -> None:
        for held in list(self._held):
            held.overtakers -= 1
            if held.overtakers <= 0:
                self._release(held)

    def _send_later(self, message: Outgoing, delay_s: float) -> None:
        self._later(delay_s, lambda: self._send_late(message))

    def _send_late(self, message: Outgoing) -> None:
        """Send what was held back; without a connection, behind the first report on the next."""
        if self._connection is not None:
            self._send(message)
        elif len(self._held) < HELD_MAX:
            self._held.append(_Held(message, 1))

    def _send(self, message: Outgoing) -> None:
        if self._connection is not None:
            self._connection.publish(message)

    def _stamp(self, payload: bytes) -> bytes:
        """Write the device's time into a report; a repeat keeps the bytes that it had."""
        stamped = self._stamped.get(payload)
        if stamped is None:
            stamped = self._with_time(payload)
            self._stamped[payload] = stamped
            if len(self._stamped) > STAMPED_MAX:
                self._stamped.popitem(last=False)
        return stamped

    def _with_time(self, payload: bytes) -> bytes:
        document = decode(payload)
        metadata = document.get("$") if document is not None else None
        if document is None or not isinstance(metadata, dict) or self._clock is None:
            return payload
        metadata["t"] = self._clock.now_us(self._now_s())
        return encode(document, "json" if payload[:1] == b"{" else "msgpack")


def _cut(message: Outgoing, pick: float) -> Outgoing:
    """Return a message whose end is missing: at least one byte of it."""
    kept = int(pick * len(message.payload))
    return Note(message.topic, message.payload[:kept], message.qos)
