# ruff: noqa: D102 (a rule's name says what it does)
from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bridge.core.update import SectionName
from bridge.device import DeviceSession, GetAnswered, GetRefused, JsonObject, Twin
from tests.device.merge_patch import same
from tests.device.model_twin import AnswersGet, CoreTwin, ModelTwin
from tests.device.sessions import REPLY, new_session
from tests.device.strategies import patches

GET = "sync/lamp-1/get/lamp-1"

_PICK = st.integers(min_value=0, max_value=1000)
_SECTIONS: st.SearchStrategy[SectionName] = st.sampled_from(["reported", "desired"])
_SELDOM = st.integers(0, 9).map(lambda number: number == 9)


class CatchingUp(RuleBasedStateMachine):
    """A device that asks for its twin at any moment, over a network that may do its worst.

    Whenever it is answered it has the twin exactly as it was at that version, and in the end the
    same as one that asks for the whole.
    """

    bridge: AnswersGet

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.known: dict[int, JsonObject] = {}
        self.to_bridge: list[bytes] = []
        self.to_device: list[bytes] = []
        self.waiting: set[str] = set()
        self.session = new_session()
        self.session.connected(self.now)

    @rule(section=_SECTIONS, patch=patches(), full=_SELDOM, late=_SELDOM)
    def change(self, section: SectionName, patch: JsonObject, full: bool, late: bool) -> None:
        self.bridge.change(section, patch, full=full, late=late)
        self.note_version()

    @rule(online=st.booleans())
    def say_online(self, online: bool) -> None:
        self.bridge.say_online(online=online)
        self.note_version()

    @rule(chance=_SELDOM)
    def delete(self, chance: bool) -> None:
        if chance:
            self.bridge.delete()

    @rule(chance=_SELDOM)
    def let_removals_grow_old(self, chance: bool) -> None:
        if chance:
            self.bridge.wait()

    @rule()
    def ask_and_be_answered(self) -> None:
        """Half of all questions, so that much is known when the network does its worst."""
        self.ask()
        self.send(0.0)
        while self.to_bridge:
            self.arrive(0, again=False)
        while self.to_device:
            self.answer(0, again=False)

    @rule()
    def ask(self) -> None:
        if len(self.waiting) < 5:
            self.waiting.add(self.session.get(self.now))

    @rule(wait_s=st.sampled_from([0.0, 5.0, 400.0]))
    def send(self, wait_s: float) -> None:
        self.now += wait_s
        messages = self.session.outgoing(self.now)
        self.to_bridge += [message.payload for message in messages if message.topic == GET]

    @precondition(lambda self: self.to_bridge)
    @rule(pick=_PICK, again=st.booleans())
    def arrive(self, pick: int, again: bool) -> None:
        index = pick % len(self.to_bridge)
        payload = self.to_bridge[index] if again else self.to_bridge.pop(index)
        self.to_device.append(self.bridge.answer(payload))

    @precondition(lambda self: self.to_device)
    @rule(pick=_PICK, again=st.booleans())
    def answer(self, pick: int, again: bool) -> None:
        index = pick % len(self.to_device)
        payload = self.to_device[index] if again else self.to_device.pop(index)
        for event in self.session.received(REPLY, payload, self.now):
            assert isinstance(event, GetAnswered | GetRefused)
            self.waiting.remove(event.request_id)
            if isinstance(event, GetAnswered):
                self.check(event.twin)

    @precondition(lambda self: self.to_device)
    @rule(pick=_PICK)
    def lose_answer(self, pick: int) -> None:
        del self.to_device[pick % len(self.to_device)]

    def note_version(self) -> None:
        document = self.bridge.whole()
        if document is not None:
            version = document["version"]
            assert isinstance(version, int)
            self.known[version] = document

    def check(self, twin: Twin) -> None:
        expected = self.known[twin.version]
        assert same(twin.reported, expected["reported"])
        assert same(twin.desired, expected["desired"])
        assert (twin.at, twin.online) == (expected["at"], expected.get("online"))
        # What is kept must not be what the program may change.
        twin.reported.clear()
        twin.desired["spoilt"] = True

    def teardown(self) -> None:
        self.to_bridge.clear()
        self.to_device.clear()
        self.change("reported", {"end": True}, full=False, late=False)
        self.session.connected(self.now)
        self.ask_and_be_answered()
        assert not self.waiting
        caught_up = self.fetch(self.session)
        fresh = new_session()
        fresh.connected(self.now)
        whole = self.fetch(fresh)
        assert same([caught_up.reported, caught_up.desired], [whole.reported, whole.desired])
        assert (caught_up.version, caught_up.at) == (whole.version, whole.at)
        assert caught_up.online == whole.online

    def fetch(self, session: DeviceSession) -> Twin:
        session.get(self.now)
        (get,) = (message for message in session.outgoing(self.now) if message.topic == GET)
        (event,) = session.received(REPLY, self.bridge.answer(get.payload), self.now)
        assert isinstance(event, GetAnswered)
        return event.twin


class CatchingUpWithAModel(CatchingUp):
    """Of a bridge that keeps every version."""

    def __init__(self) -> None:
        super().__init__()
        self.bridge = ModelTwin()


class CatchingUpWithTheBridge(CatchingUp):
    """The bridge's own twins, with its own bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.bridge = CoreTwin()


_SETTINGS = settings(max_examples=200, stateful_step_count=40, deadline=None)

TestCatchingUpWithAModel = CatchingUpWithAModel.TestCase
TestCatchingUpWithAModel.settings = _SETTINGS
TestCatchingUpWithTheBridge = CatchingUpWithTheBridge.TestCase
TestCatchingUpWithTheBridge.settings = _SETTINGS
