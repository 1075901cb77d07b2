"""A small past of one lamp, told to the checker: right as it is, for tests to put wrong."""

from __future__ import annotations

import orjson

from bridge.device import JsonObject
from device_sim.checker import Ledger, Sightings, StoredTwin, Verdict, judge
from device_sim.checker.export import Change, Loss
from device_sim.checker.topics import parse_topic

REPORT, DESIRE = "sync/lamp-1/report", "sync/lamp-1/desire/app"


class Told:
    """What was sent, answered, published, stored and retained.

    Attributes:
        ledger: Two reports, and one desire.
        sightings: Of the subscriber.
        twin: What the store has.
        retained: State and delta.
    """

    def __init__(self, *, is_complete: bool = True) -> None:
        self.ledger = Ledger("sync", is_complete=is_complete)
        self.sightings = Sightings()
        self.send(REPORT, {"on": True}, seq=1)
        self.send(REPORT, {"on": False, "level": 3}, seq=2)
        self.send(DESIRE, {"level": 5}, seq=1)
        for writer, seq, version in (("lamp-1", 1, 1), ("lamp-1", 2, 2), ("app", 1, 3)):
            self.answer(writer, seq, version)
        state: JsonObject = {
            "version": 3, "at": 3, "reported": {"on": False, "level": 3}, "desired": {"level": 5},
        }  # fmt: skip
        delta: JsonObject = {"version": 3, "at": 3, "state": {"level": 5}}
        self.publish("state", {"version": 1, "at": 1, "reported": {"on": True}, "desired": {}})
        self.publish("state", state)
        self.publish("delta", delta)
        history = [
            Change(1, "lamp-1", "reported", {"on": True}, {"on": None}),
            Change(2, "lamp-1", "reported", {"on": False, "level": 3}, {"on": True, "level": None}),
            Change(3, "app", "desired", {"level": 5}, {"level": None}),
        ]
        self.twin = StoredTwin(3, True, state, delta, history)
        self.retained: tuple[JsonObject | None, JsonObject | None] = (state, delta)

    def send(self, topic: str, patch: JsonObject, *, seq: int, boot: str = "b") -> None:
        """Enter a message, with its seq as its id."""
        self.ledger.sent(topic, self.payload(patch, seq, boot))

    @staticmethod
    def payload(patch: JsonObject, seq: int, boot: str = "b") -> bytes:
        """A message as it is on the wire; without seq where that is 0."""
        head: JsonObject = {"id": f"{boot}{seq}", "boot": boot, "seq": seq}
        return orjson.dumps({**patch, "$": head} if seq else patch)

    def answer(self, writer: str, seq: int, version: int, **head: object) -> None:
        """Enter a reply."""
        answer = {"id": f"b{seq}", "ok": True, "version": version, "changed": True, **head}
        self.ledger.answered(f"sync/lamp-1/reply/{writer}", orjson.dumps({"$": answer}))

    def publish(self, verb: str, document: JsonObject | None, *, retained: bool = False) -> None:
        """Let the subscriber see something."""
        place = parse_topic("sync", f"sync/lamp-1/{verb}")
        assert place is not None
        payload = b"" if document is None else orjson.dumps(document)
        self.sightings.take(place, payload, retained=retained)

    def lose(self, section: str, path: tuple[str, ...], lost: object, lost_by: str) -> None:
        """Put an entry into the conflict log."""
        self.twin.losses.append(Loss(section, path, lost, lost_by))  # type: ignore[arg-type]

    def judge(self, *, broker_kept: bool = False) -> Verdict:
        """Decide."""
        return judge(
            self.ledger,
            [self.sightings],
            twins={"lamp-1": self.twin},
            retained={"lamp-1": self.retained},
            broker_kept=broker_kept,
        )

    def found(self, *, broker_kept: bool = False) -> list[str]:
        """Decide, and return the names of what is broken."""
        violations = self.judge(broker_kept=broker_kept).violations
        return sorted({violation.invariant.value for violation in violations})
