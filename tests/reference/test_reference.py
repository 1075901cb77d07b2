"""The core against the model, step by step, in histories that Hypothesis makes up.

`TEST_EXAMPLES=20000` asks for more of them than `make test` does; `make simulate` is faster,
and less inventive.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bridge.core.update import Boot, SectionName
from tests.reference.pair import Pair
from tests.reference.steps import APPS, DEVICE, NOW, SECOND, Appear, Delete, Reload, Send
from tests.reference.traffic import ARRAYS, NAMES, NUMBERS, SCALARS, TABLES

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "250"))
STEPS_AT_MOST = 40

# It is work, not waiting: on a busy machine it takes long.
pytestmark = pytest.mark.timeout(1800)

SENDERS: tuple[tuple[SectionName, str], ...] = (
    ("reported", DEVICE),
    ("desired", DEVICE),
    ("desired", APPS[0]),
    ("desired", APPS[1]),
)
BOOTS_AT_MOST = 6
"""Restarts with a new boot: the model does not fold the contributions of more than eight."""

leaves = st.one_of(
    st.none(),
    st.sampled_from(NUMBERS),
    st.sampled_from(ARRAYS),
    st.sampled_from(SCALARS),
    st.builds(dict),
)
names = st.sampled_from(NAMES)
patches = st.recursive(
    st.dictionaries(names, leaves, max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(leaves, inner), max_size=2),
    max_leaves=5,
)
# How far behind the present version, negative: above it.
backs = st.one_of(st.none(), st.sampled_from([0, 0, 1, 2, 3, 6, -1, -5]))
times = st.one_of(
    st.none(),
    st.sampled_from([0, 0, -1, -3, -20, 3600]).map(lambda offset: ("offset", offset * SECOND)),
    st.sampled_from([NOW + 5 * SECOND, 1000, NOW * 2, -1]).map(lambda time: ("fixed", time)),
)
deliveries = st.tuples(st.integers(0, 3), st.booleans(), st.booleans())
whole_numbers = st.integers(0, 1000)


class Message(NamedTuple):
    """What a writer says, and what becomes of it."""

    patch: dict[str, Any]
    seen: int | None
    time: tuple[str, int] | None
    wanted: int | None
    full: bool
    delivery: tuple[int, bool, bool]
    fate: str
    bad: bool


messages = st.builds(
    Message,
    patch=patches,
    seen=backs,
    time=times,
    wanted=st.one_of(st.none(), st.none(), st.none(), backs),
    full=st.sampled_from([False, False, False, True]),
    delivery=deliveries,
    fate=st.sampled_from(["arrives", "arrives", "arrives", "late", "lost"]),
    bad=st.sampled_from([False] * 9 + [True]),
)


class Reconciling(RuleBasedStateMachine):
    """Writers, their network and the bridge; every rule ends in a step of both twins."""

    @initialize(table=st.sampled_from(TABLES), numbered=st.sets(st.sampled_from(SENDERS)))
    def begin(self, table: dict[str, str], numbered: set[tuple[SectionName, str]]) -> None:
        """A twin that nobody has written to."""
        self.pair = Pair(table)
        self.clock = NOW
        self.boots: dict[tuple[SectionName, str], int] = dict.fromkeys(sorted(numbered), 1)
        self.seqs: dict[tuple[SectionName, str], int] = dict.fromkeys(sorted(numbered), 0)
        self.in_flight: list[Send] = []
        self.delivered: list[Send | Delete] = []

    @rule(message=messages)
    def report(self, message: Message) -> None:
        """The device reports."""
        self._write(SENDERS[0], message)

    @rule(sender=st.sampled_from(SENDERS[1:]), message=messages)
    def desire(self, sender: tuple[SectionName, str], message: Message) -> None:
        """An application wants something, or the device for itself."""
        self._write(sender, message)

    @rule(sender=st.sampled_from(SENDERS[1:]), message=messages)
    def desire_too(self, sender: tuple[SectionName, str], message: Message) -> None:
        """The same once more, so that this is what happens most."""
        self._write(sender, message)

    def _write(self, sender: tuple[SectionName, str], message: Message) -> None:
        """Write; what happens to the message on its way is another matter."""
        boot: Boot | None = None
        seq = None
        if sender in self.seqs:
            boot = self.boots[sender]
            seq = self.seqs[sender] = self.seqs[sender] + 1
        send = Send(
            *sender,
            message.patch,
            self.clock,
            boot,
            seq,
            self._version(message.seen),
            self._time(message.time),
            self._version(message.wanted),
            message.full,
            bad=message.bad,
        )
        if message.fate == "arrives":
            self._deliver(send, message.delivery)
        elif message.fate == "late":
            self.in_flight.append(send)

    def _version(self, back: int | None) -> int | None:
        return None if back is None else max(0, self.pair.model.version - back)

    def _time(self, time: tuple[str, int] | None) -> int | None:
        if time is None:
            return None
        kind, value = time
        return self.clock + value if kind == "offset" else value

    def _deliver(self, send: Send, delivery: tuple[int, bool, bool]) -> None:
        packet_id, repeated, retained = delivery
        send = send._replace(
            clock=self.clock, packet_id=packet_id, repeated=repeated, retained=retained
        )
        self.delivered.append(send)
        self.pair.step(send)

    @precondition(lambda self: self.in_flight)
    @rule(which=whole_numbers, delivery=deliveries)
    def arrive_late(self, which: int, delivery: tuple[int, bool, bool]) -> None:
        """One that was under way arrives, in whatever order."""
        self._deliver(self.in_flight.pop(which % len(self.in_flight)), delivery)

    @precondition(lambda self: self.delivered)
    @rule(which=whole_numbers, repeated=st.booleans(), retained=st.booleans(), same=st.booleans())
    def arrive_again(self, which: int, repeated: bool, retained: bool, same: bool) -> None:
        """The broker delivers one again, or its writer does, or it was retained."""
        step = self.delivered[which % len(self.delivered)]
        packet_id = step.packet_id if same else step.packet_id + 1
        self.pair.step(
            step._replace(
                clock=self.clock, packet_id=packet_id, repeated=repeated, retained=retained
            )
        )

    @precondition(lambda self: self.seqs)
    @rule(which=whole_numbers, forgets=st.booleans())
    def restart(self, which: int, forgets: bool) -> None:
        """A writer restarts, with a new boot, or with the same one where it cannot count them."""
        sender = list(self.seqs)[which % len(self.seqs)]
        self.seqs[sender] = 0
        if not forgets and self.boots[sender] < BOOTS_AT_MOST:
            self.boots[sender] += 1

    @rule(online=st.booleans(), boot=st.one_of(st.none(), st.integers(0, BOOTS_AT_MOST)))
    def appear(self, online: bool, boot: int | None) -> None:
        """The device's presence, or its last will."""
        self.pair.step(Appear(online, self.clock, boot))

    @rule(writer=st.sampled_from(APPS), delivery=deliveries)
    def delete(self, writer: str, delivery: tuple[int, bool, bool]) -> None:
        """An application deletes the twin."""
        step = Delete(writer, self.clock, *delivery)
        self.delivered.append(step)
        self.pair.step(step)

    @rule(seconds=st.sampled_from([0, 1, 1, 1, 10, 3600, -3600, -365 * 86_400]))
    def pass_time(self, seconds: int) -> None:
        """The bridge's clock goes on, stands still, or is set back."""
        self.clock += seconds * SECOND

    @rule()
    def kill(self) -> None:
        """The bridge is killed, and goes on with what is stored; readers ask what they missed."""
        self.pair.step(Reload())
        self.pair.check_since()


TestReconciling = Reconciling.TestCase
TestReconciling.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS_AT_MOST,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
