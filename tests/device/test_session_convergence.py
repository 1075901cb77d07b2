# ruff: noqa: D102 (a rule's name says what it does)
from __future__ import annotations

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from bridge.device import Answered, DeviceSession, JsonObject, JsonValue
from bridge.device.kept import Restored
from tests.device.memory_journal import MemoryJournal
from tests.device.merge_patch import apply_patch
from tests.device.model_bridge import ModelBridge
from tests.device.strategies import patches

REPORT = "sync/lamp-1/report"
REPLY = "sync/lamp-1/reply/lamp-1"
WINDOW = 3

_PICK = st.integers(min_value=0, max_value=1000)


class DeviceOnABadNetwork(RuleBasedStateMachine):
    """A device whose messages are lost, doubled and reordered, and which is killed at any time.

    In the end, on a network that works again, every report is answered, each boot's seqs have no
    hole, and the bridge holds what the device reported, as if it had come one by one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.boots = 0
        self.bridge = ModelBridge()
        self.bridge_is_up = True
        self.expected: JsonValue = {}
        self.to_bridge: list[bytes] = []
        self.to_device: list[bytes] = []
        self.journal = MemoryJournal()
        self.session = self.new_session(Restored())
        self.session.connected(self.now)

    def new_session(self, restored: Restored) -> DeviceSession:
        self.boots += 1
        return DeviceSession(
            "lamp-1",
            boot=f"b{self.boots}",
            window=WINDOW,
            journal=self.journal,
            restored=restored,
        )

    @rule(patch=patches(), full=st.integers(0, 9).map(lambda number: number == 9))
    def report(self, patch: JsonObject, full: bool) -> None:
        self.session.report(patch, self.now, full=full)
        self.expected = apply_patch({} if full else self.expected, patch)

    @rule(several=st.lists(patches(), min_size=1, max_size=6))
    def report_one_by_one(self, several: list[JsonObject]) -> None:
        for patch in several:
            self.report(patch, full=False)
            self.send(0.0)

    @rule(backwards=st.booleans())
    def exchange(self, backwards: bool) -> None:
        self.send(0.0)
        while self.to_bridge:
            self.carry_to_bridge(-1 if backwards else 0, again=False)
        while self.to_device:
            self.carry_to_device(0, again=False)

    @rule(wait_s=st.sampled_from([0.0, 0.1, 5.0, 400.0]))
    def send(self, wait_s: float) -> None:
        self.now += wait_s
        due = self.session.next_due_s()
        messages = self.session.outgoing(self.now)
        assert bool(messages) == (due is not None and due <= self.now)
        self.to_bridge += [message.payload for message in messages if message.topic == REPORT]

    @rule(away=st.booleans())
    def reconnect(self, away: bool) -> None:
        """What the broker has for the device is lost with its clean session."""
        self.session.disconnected()
        self.to_device.clear()
        if not away:
            self.session.connected(self.now)

    @precondition(lambda self: self.to_bridge)
    @rule(pick=_PICK, again=st.booleans())
    def arrive(self, pick: int, again: bool) -> None:
        self.carry_to_bridge(pick % len(self.to_bridge), again=again)

    @precondition(lambda self: self.to_device)
    @rule(pick=_PICK, again=st.booleans())
    def answer(self, pick: int, again: bool) -> None:
        self.carry_to_device(pick % len(self.to_device), again=again)

    @precondition(lambda self: self.to_bridge)
    @rule(pick=_PICK)
    def lose_report(self, pick: int) -> None:
        del self.to_bridge[pick % len(self.to_bridge)]

    @precondition(lambda self: self.to_device)
    @rule(pick=_PICK)
    def lose_reply(self, pick: int) -> None:
        del self.to_device[pick % len(self.to_device)]

    @rule()
    def stop_or_start_bridge(self) -> None:
        """A bridge that is not ready puts off what comes."""
        self.bridge_is_up = not self.bridge_is_up

    @rule(kept_bytes=st.integers(min_value=0, max_value=200), lost=st.booleans())
    def kill_device(self, kept_bytes: int, lost: bool) -> None:
        """What it sent is lost, or on its way yet, to arrive after the next process's messages."""
        if lost:
            self.to_bridge.clear()
        self.to_device.clear()
        self.session = self.new_session(self.journal.crash(kept_bytes))
        self.session.connected(self.now)

    def carry_to_bridge(self, index: int, *, again: bool) -> None:
        payload = self.to_bridge[index] if again else self.to_bridge.pop(index)
        if self.bridge_is_up:
            self.to_device.append(self.bridge.answer(payload))
        else:
            self.to_device.append(self.bridge.refuse(payload, code=503, error="not_ready"))

    def carry_to_device(self, index: int, *, again: bool) -> None:
        reply = self.to_device[index] if again else self.to_device.pop(index)
        for event in self.session.received(REPLY, reply, self.now):
            if isinstance(event, Answered):
                assert orjson.loads(reply)["$"]["ok"] is True

    @invariant()
    def no_boot_has_holes_beyond_its_window(self) -> None:
        for reports in self.bridge.reports.values():
            assert max(reports) - len(reports) < WINDOW

    def teardown(self) -> None:
        self.bridge_is_up = True
        self.to_bridge.clear()
        self.to_device.clear()
        self.session.connected(self.now)
        for _ in range(200):
            due = self.session.next_due_s()
            if due is None:
                break
            self.now = max(self.now, due)
            self.exchange(backwards=True)
        assert self.session.unanswered == 0
        for reports in self.bridge.reports.values():
            assert sorted(reports) == list(range(1, len(reports) + 1))
        assert self.bridge.reported() == self.expected
        assert self.new_session(self.journal.crash(10_000)).unanswered == 0


TestDeviceOnABadNetwork = DeviceOnABadNetwork.TestCase
TestDeviceOnABadNetwork.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
