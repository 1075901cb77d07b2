"""The devices of a run: what they are made of, and what the plan does to them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping

from bridge.device import Answered, JsonObject
from device_sim.device import SimulatedDevice
from device_sim.faults import FAULTS, DeviceClock, DeviceFaults, Fault, FaultyLine, chance
from device_sim.field_device import FieldDevice, Surroundings
from device_sim.kinds import Kind
from device_sim.options import FleetOptions
from device_sim.payload import encode
from device_sim.plan import (
    RIVAL_MARK,
    PlannedFault,
    PlannedPower,
    PlannedReport,
    boot_of,
    fault_plan,
    planned_reports,
)
from device_sim.wire import Note

CHATTER_FIELD = "chatter"
"""What a chatterbox counts."""

_COUNTED_APART = frozenset({"chatterbox", "contrary"})
"""Faults that are counted by message, not by device."""

_CHATTER_INTERVAL_S = 0.02
_CHATTER_BURST_S = 0.2
"""A chatterbox that has fallen behind makes up for no more than this."""


class Population:
    """All devices of a run.

    Args:
        options: What the run is.
        kinds: Kind of each device by its id.
        clock: Seconds of a clock that never goes back.
        answered: Called with a device's id, a reply, and when the report was first published.
        touched: Called with a device's id whenever something has arrived for it.

    Attributes:
        devices: The models by id.
        faults: How often each fault was injected.
        connects: Connections of each device.
        contrary: Devices that answer their delta with something else.
    """

    def __init__(
        self,
        options: FleetOptions,
        kinds: Mapping[str, Kind],
        *,
        clock: Callable[[], float],
        answered: Callable[[str, Answered, float], None],
        touched: Callable[[str], None],
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.connects: Counter[str] = Counter()
        self._options = options
        self._clock = clock
        self._answered = answered
        self._touched = touched
        self._plan = fault_plan(options, len(kinds))
        self._around = Surroundings(
            options.prefix, options.encoding, self._later, self.faults, self.connects
        )
        self._keeps_sessions = any(fault.with_session for fault in self._plan.faults)
        self._began_at = 0.0
        self._began_us = 0
        self._found: dict[str, int] = {}
        self._fields: dict[str, FieldDevice] = {}
        self.devices = {name: self._model(name, kind) for name, kind in kinds.items()}
        self._rivals = {
            name + RIVAL_MARK: self._model(name + RIVAL_MARK, kind)
            for name, kind in kinds.items()
            if self._has(name, "same-id")
        }
        self.contrary = frozenset(name for name in kinds if self._has(name, "contrary"))

    def begin(self, found: Mapping[str, int]) -> None:
        """Take that the run begins now, and which versions the twins have."""
        self._found = dict(found)
        self._began_at = self._clock()
        self._began_us = time.time_ns() // 1000
        self._fields = {
            name: self._field(name, model) for name, model in (self.devices | self._rivals).items()
        }

    def fields(self) -> list[FieldDevice]:
        """Return the devices that are switched on, with those that have another one's id."""
        return [field for field in self._fields.values() if field.device.is_on]

    def switched_on(self) -> list[SimulatedDevice]:
        """Return the models of the devices that are switched on."""
        return [device for device in self.devices.values() if device.is_on]

    def take(self, planned: PlannedReport | PlannedFault | PlannedPower) -> FieldDevice | None:
        """Carry out a step of the plan; returns the device where this has switched it on."""
        field = self._fields[planned.device]
        switched_on = None
        if not field.device.is_on and isinstance(planned, PlannedReport):
            field.switch_on(self._boot(planned.device, 0))
            switched_on = field
            self._count_traits(planned.device)
        if not field.device.is_on:
            return None
        if isinstance(planned, PlannedReport):
            field.report(planned.patch, full=planned.full)
        elif isinstance(planned, PlannedFault):
            field.happen(planned.strike)
        elif planned.is_on:
            field.restore_power()
        else:
            field.cut_power()
        return switched_on

    def excused(self) -> dict[str, str]:
        """Return the devices whose twins need not be what they believe, with why."""
        reasons = {device.id: self.excuse(device) for device in self.switched_on()}
        return {device: reason for device, reason in reasons.items() if reason}

    def excuse(self, device: SimulatedDevice) -> str:
        """Return why a device's twin need not be what it believes; empty where it must be.

        A contrary device's must: only what is desired of it is not met.
        """
        if device.id + RIVAL_MARK in self._rivals:
            return "two devices have this id"
        if self._fields[device.id].is_cut_off:
            return "it has no power at the end"
        return ""

    def has_power(self, device: str) -> bool:
        """Tell whether a device is not in the middle of an outage."""
        return self._fields[device].has_power

    def flush(self) -> None:
        """Publish what is due again, and let those sleep that have nothing to say."""
        now = self._clock()
        for field in self.fields():
            if field.device.unanswered:
                field.device.flush()
            field.rest(now)

    def end_faults(self) -> None:
        """Let everything through, and wake everybody up: the run is to converge."""
        for field in self.fields():
            field.end_faults()
            field.stay_awake()

    def chatter(self, ending: asyncio.Event) -> Iterator[Coroutine[None, None, None]]:
        """Yield what each chatterbox does until the event is set, to be run as tasks."""
        for name in self.devices:
            for fault in self._traits(name):
                if fault.kind == "chatterbox":
                    yield self._chatter(self._fields[name], fault, ending)

    async def _chatter(self, field: FieldDevice, fault: Fault, ending: asyncio.Event) -> None:
        """Publish without waiting, until the fault's time is over or the run's; then say the last.

        The messages have no number and no id: nobody answers, and at QoS 0 any may be lost.
        """
        topic = f"{self._options.prefix}/{field.device.id}/report"
        said, due = 0, 0.0
        began_s = None
        while not ending.is_set() and self.now_s() < fault.until_s:
            await asyncio.sleep(_CHATTER_INTERVAL_S)
            now_s = self.now_s()
            if now_s < fault.start_s or not field.device.online:
                began_s = now_s
                continue
            began_s = now_s if began_s is None else began_s
            due = min(due + (now_s - began_s) * fault.rate_hz, fault.rate_hz * _CHATTER_BURST_S)
            began_s = now_s
            while due >= 1 and field.publish_past(
                Note(topic, encode({CHATTER_FIELD: said + 1}, self._options.encoding), qos=0)
            ):
                said, due = said + 1, due - 1
        self.faults["chatterbox"] += said
        if said:
            field.report({CHATTER_FIELD: said})

    def now_s(self) -> float:
        """Return the time since the run began."""
        return self._clock() - self._began_at

    def _later(self, delay_s: float, callback: Callable[[], None], /) -> object:
        return asyncio.get_running_loop().call_later(delay_s, callback)

    def _boot(self, name: str, number: int) -> str:
        found = self._found.get(name.removesuffix(RIVAL_MARK), 0)
        which = f"{name}/{number}" if number else name
        return boot_of(self._options.seed, which, found)

    def _boots(self, name: str) -> Iterator[str]:
        return (self._boot(name, number) for number in itertools.count(1))

    def _count_traits(self, name: str) -> None:
        """Count the device, where a trait has nothing else that could be counted."""
        if not name.endswith(RIVAL_MARK):
            kinds = (fault.kind for fault in self._traits(name))
            self.faults.update(kind for kind in kinds if kind not in _COUNTED_APART)

    def _has(self, name: str, trait: str) -> bool:
        return any(fault.kind == trait for fault in self._traits(name))

    def _traits(self, name: str) -> tuple[Fault, ...]:
        faults = self._plan.of_device(name)
        return faults.traits if faults is not None else ()

    def _model(self, name: str, kind: Kind) -> SimulatedDevice:
        is_rival = name.endswith(RIVAL_MARK)
        contrary = next((each for each in self._traits(name) if each.kind == "contrary"), None)
        return SimulatedDevice(
            name.removesuffix(RIVAL_MARK),
            kind,
            clock=self._clock,
            answered=_nobody if is_rival else self._answered,
            touched=self._touched,
            answer_delta=self._contradiction(name, kind, contrary) if contrary else None,
            renew=lambda patch, off_s: self._fields[name].renew(patch, off_s),
        )

    def _field(self, name: str, model: SimulatedDevice) -> FieldDevice:
        faults = self._plan.of_device(name)
        return FieldDevice(
            model,
            self._around,
            boots=self._boots(name),
            factory=lambda: next(planned_reports(model.kind, self._options.seed, name, 0.0)).patch,
            line=self._line(name, faults) if faults is not None else None,
            keeps_session=self._keeps_sessions,
        )

    def _line(self, name: str, faults: DeviceFaults) -> FaultyLine:
        stamps = any(faults.has(kind) for kind in FAULTS if kind.startswith("clock-"))
        return FaultyLine(
            faults,
            now_s=self.now_s,
            later=self._around.later,
            counts=self.faults,
            happen=lambda strike: self._fields[name].happen(strike),
            clock=DeviceClock(self._began_us, faults.traits) if stamps else None,
        )

    def _contradiction(
        self, name: str, kind: Kind, fault: Fault
    ) -> Callable[[JsonObject, bool], JsonObject | None]:
        numbers = itertools.count()

        def contradict(patch: JsonObject, is_new: bool) -> JsonObject | None:
            if not fault.holds(self.now_s()):
                return None
            if not is_new:  # Once for each delta: it would go on for ever.
                return {}
            self.faults["contrary"] += 1
            return kind.contradict(patch, chance(self._options.seed, name, next(numbers)))

        return contradict


def _nobody(device: str, answer: Answered, sent_at: float) -> None:
    """Take an answer that nobody waits for."""
