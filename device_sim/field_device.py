"""A device in the field: with power that may fail, sleep, and the faults that it meets.

It stands between the device's model and the network: the model knows nothing of all this, as a
real device's program does not.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.device import Encoding, JsonObject
from device_sim.device import SimulatedDevice
from device_sim.document import apply_patch, visible
from device_sim.faults import Acts, Fault, FaultyLine, Strike
from device_sim.faults.line import Later
from device_sim.wire import Client, Connection, Outgoing, Publisher

SESSION_EXPIRY_S = 300
"""How long the broker keeps a session that is to be taken up: longer than any pause here."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the devices of a run share.

    Attributes:
        prefix: Of all topics.
        encoding: Of what the devices send.
        later: Calls something after a while.
        counts: Where each fault is counted, by its kind.
        connects: Where each connection is counted, by the device's id.
    """

    prefix: str
    encoding: Encoding
    later: Later
    counts: Counter[str]
    connects: Counter[str] = dataclasses.field(default_factory=Counter)


class FieldDevice:
    """A device with what surrounds it. An `Endpoint`.

    Args:
        device: The model.
        around: What the devices of a run share.
        boots: Yields a new boot for each restart.
        factory: Returns the state in which the device left the factory.
        line: Through which its messages go; None where nothing happens to them.
        keeps_session: It asks the broker to keep its session, to be taken up at times.

    Attributes:
        wanted: Set while it is to be connected.
    """

    def __init__(
        self,
        device: SimulatedDevice,
        around: Surroundings,
        *,
        boots: Iterator[str],
        factory: Callable[[], JsonObject],
        line: FaultyLine | None = None,
        keeps_session: bool = False,
    ) -> None:
        self.device = device
        self.wanted = asyncio.Event()
        self._around = around
        self._boots = boots
        self._factory = factory
        self._line = line
        self._keeps_session = keeps_session
        self._takes_up_session = False
        self._connection: Connection | None = None
        self._outages = 0
        self._is_cut_off = False
        self._is_asleep = False
        self._stays_awake = False
        self._last_busy_s = 0.0

    @property
    def has_power(self) -> bool:
        """It is switched on, and not in the middle of an outage."""
        return self.device.is_on and self._outages == 0

    @property
    def is_cut_off(self) -> bool:
        """Its power is gone, and nothing but `restore_power` brings it back."""
        return self._is_cut_off

    @property
    def is_asleep(self) -> bool:
        """It has disconnected because it has nothing to say."""
        return self._is_asleep

    def switch_on(self, boot: str) -> None:
        """Begin the first boot."""
        self.device.switch_on(boot, prefix=self._around.prefix, encoding=self._around.encoding)
        self._refresh()

    # As an endpoint.

    def client(self) -> Client:
        """Return how to connect."""
        client = self.device.client()
        received = client.received if self._line is None else self._filtered(client.received)
        takes_up, self._takes_up_session = self._takes_up_session, False
        return dataclasses.replace(
            client,
            received=received,
            clean=not takes_up,
            session_expiry_s=SESSION_EXPIRY_S if self._keeps_session else 0,
        )

    def up(self, connection: Connection) -> None:
        """Take a connection."""
        self._connection = connection
        self._around.connects[self.device.id] += 1
        self.device.up(self._attached(connection))

    def down(self) -> None:
        """Wait for the next connection."""
        self._connection = None
        if self._line is not None:
            self._line.detach()
        self.device.down()

    def _attached(self, connection: Connection) -> Publisher:
        if self._line is None:
            return connection
        self._line.attach(connection)
        return self._line

    def _filtered(self, received: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
        line = self._line

        def filtered(topic: str, payload: bytes) -> None:
            if line is None or not (
                topic.endswith(f"/reply/{self.device.id}") and line.loses_reply()
            ):
                received(topic, payload)

        return filtered

    # What the device does, if it can.

    def publish_past(self, message: Outgoing) -> bool:
        """Publish beside the model and its line, as a chatterbox does; False if it is offline."""
        if self._connection is None:
            return False
        self._connection.publish(message)
        return True

    def report(self, patch: JsonObject, *, full: bool = False) -> None:
        """Report, and wake up for it; without power nothing happens."""
        if self.has_power:
            self._is_asleep = False
            self.device.report(patch, full=full)
            self._refresh()

    def rest(self, now: float) -> None:
        """Go to sleep where the kind does and nothing is left to say; asked now and then."""
        sleep_after_s = self.device.kind.sleep_after_s
        if sleep_after_s is None or self._is_asleep or self._stays_awake:
            return
        if self.device.unanswered or not self.device.online:
            self._last_busy_s = now
        elif now - self._last_busy_s >= sleep_after_s and self._connection is not None:
            self._is_asleep = True
            self.device.say_goodbye()
            self._refresh()
            self._connection.disconnect()

    def stay_awake(self) -> None:
        """Wake up for good: the run is to be ended."""
        self._stays_awake = True
        self._is_asleep = False
        self._refresh()

    # What happens to it.

    def cut_power(self) -> None:
        """Go off without a word; `restore_power` ends it."""
        if not self._is_cut_off:
            self._is_cut_off = True
            self._outages += 1
            self._break()

    def restore_power(self) -> None:
        """Boot after `cut_power`."""
        if self._is_cut_off:
            self._is_cut_off = False
            self._boot_again(next(self._boots), self.device.believed)

    def renew(self, patch: JsonObject, off_s: float) -> None:
        """Restart, and be what a patch says afterwards: new firmware."""
        state = visible(self.device.believed)
        apply_patch(state, patch)
        self._off(off_s, lambda: self._boot_again(next(self._boots), state))

    def happen(self, strike: Strike) -> None:
        """Carry out a fault, if the device is there to suffer it."""
        fault = strike.fault
        if fault.acts is Acts.MESSAGE:
            if self._line is not None:
                self._line.strike_next(strike)
            return
        if not self.has_power:
            return
        if fault.kind in ("half-open", "reconnect"):
            if self._connection is None:
                return
            self._disturb(self._connection, fault)
        elif fault.kind == "clock-back":
            if self._line is not None:
                self._line.step_clock_back(fault.by_s)
        else:
            self._off(fault.for_s, lambda: self._restarted(fault))
        self._around.counts[fault.kind] += 1

    def end_faults(self) -> None:
        """Let everything through from now on, and send what was held back."""
        if self._line is not None:
            self._line.end()

    def _disturb(self, connection: Connection, fault: Fault) -> None:
        if fault.kind == "half-open":
            connection.stall()
            self._around.later(fault.for_s, connection.desert)
            return
        self._takes_up_session = fault.with_session
        self._outages += 1
        self._break()
        self._around.later(fault.for_s, self._end_outage)

    def _restarted(self, fault: Fault) -> None:
        if fault.kind == "reflash":
            self._boot_again(next(self._boots), self._factory())
        elif fault.kind == "forget-boot":
            self._boot_again(self.device.boot, self.device.believed)
        else:
            self._boot_again(next(self._boots), self.device.believed)

    def _off(self, off_s: float, then: Callable[[], None]) -> None:
        self._outages += 1
        self._break()
        self._around.later(off_s, then)

    def _boot_again(self, boot: str, state: JsonObject) -> None:
        around = self._around
        self._is_asleep = False
        self.device.restart(boot, dict(state), prefix=around.prefix, encoding=around.encoding)
        self._end_outage()

    def _end_outage(self) -> None:
        self._outages -= 1
        self._refresh()

    def _break(self) -> None:
        self._refresh()
        if self._connection is not None:
            self._connection.abandon()

    def _refresh(self) -> None:
        if self.has_power and not self._is_asleep:
            self.wanted.set()
        else:
            self.wanted.clear()
