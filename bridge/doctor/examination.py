"""One examination: its bounds, its names, and what it must clear away again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bridge.doctor.probe import Outgoing, Probe
from bridge.doctor.target import Login, Target
from bridge.errors import LinkError

MQTT_5: Final = 5
MQTT_3: Final = 4
"""As CONNECT numbers the versions: 4 is MQTT 3.1.1."""

SESSION_EXPIRY_S: Final = 300
"""How long a session of ours stays at the most, should this process be killed."""

SENDING_SHARE: Final = 0.15
"""Of the time that is left, for sending in one check: what was sent must also be received."""

CLEARING_S: Final = 60.0
"""How long clearing away may take, whatever has become of the time for the checks."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far an examination goes.

    Attributes:
        messages: Messages that are queued and retained to see how many are kept.
        duration_s: After so long no further check is begun, and after twice that one that has
            begun gives up.

    Raises:
        ValueError: One is out of its range.
    """

    messages: int = 2500
    duration_s: float = 60.0

    def __post_init__(self) -> None:
        if not 100 <= self.messages <= 200_000:
            raise ValueError("messages: from 100 to 200000")
        if not 0 < self.duration_s <= 3600:
            raise ValueError("duration_s: up to 3600")


@dataclass(slots=True)
class Examination:
    """What the checks share.

    Attributes:
        target: The broker.
        bounds: How far to go.
        run: Stands in each client id and topic, so that two examinations do not meet.
        version: Of MQTT, once it is known what the broker speaks.
        binds_client_ids: The broker takes the user name for the client id, so that each login
            has one connection at a time; once it is known.
        finds_session: The first connection found a session, which cannot be ours.
    """

    target: Target
    bounds: Bounds
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    version: int = MQTT_5
    binds_client_ids: bool = False
    finds_session: bool = False
    _deadline: float = field(init=False)
    _retained: dict[str, None] = field(default_factory=dict)
    _sessions: dict[str, Login] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.bounds.duration_s

    @property
    def deadline(self) -> float:
        """When a check that has begun must end, on the clock of `time.monotonic`."""
        return self._deadline + self.bounds.duration_s

    def stop_sending_at(self) -> float:
        """Return when to send no more, so that time is left for what follows."""
        now = time.monotonic()
        return now + SENDING_SHARE * max(0.0, self._deadline - now)

    @property
    def is_over(self) -> bool:
        """No time is left."""
        return time.monotonic() >= self._deadline

    def topic(self, *levels: str) -> str:
        """Return a topic of this examination's own: below a level that no device can have."""
        return "/".join((self.target.prefix, "$bridge", "doctor", self.run, *levels))

    @property
    def stranger(self) -> str:
        """A device id that nobody has."""
        return f"doctor-{self.run}"

    def client_id(self, name: str) -> str:
        """Return a client id; short enough for the strictest broker (MQTT 3.1.1 3.1.3.1)."""
        return f"sb-doctor-{self.run}-{name}"

    def probe(
        self,
        name: str,
        *,
        login: Login | None = None,
        expiry_s: int | None = None,
        receive_maximum: int | None = None,
        acknowledge: int | None = None,
    ) -> Probe:
        """Make a connection.

        Args:
            name: Distinguishes it from the others, four characters at the most.
            login: Who connects; None: who examines.
            expiry_s: Keep its session for so long; None: start clean and leave nothing.
            receive_maximum: Messages that may be unacknowledged.
            acknowledge: How many of the messages are acknowledged; None: all.
        """
        client_id = self.client_id(name)
        who = self.target.login if login is None else login
        if expiry_s is not None:
            self._sessions[client_id] = who
        return Probe(
            self.target,
            who,
            client_id=client_id,
            version=self.version,
            keep_session=expiry_s is not None,
            expiry_s=expiry_s or 0,
            receive_maximum=receive_maximum,
            acknowledge=acknowledge,
        )

    def retained(self, *levels: str, payload: bytes) -> Outgoing:
        """Make a message that is retained, and remember to clear it."""
        topic = self.topic(*levels)
        self._retained[topic] = None
        return Outgoing(topic, payload, retain=True)

    def forget_sessions(self) -> None:
        """Leave the sessions that were connected to as they are: they are not ours."""
        self._sessions.clear()

    def clear_away(self) -> list[str]:
        """Clear what was retained and end the sessions; returns what could not be, in words."""
        deadline = time.monotonic() + CLEARING_S
        problems = []
        if self._retained:
            try:
                self._clear_retained(deadline)
            except LinkError as error:
                problems.append(f"retained messages below {self.topic()}: {error.message}")
        return problems + self.end_sessions()

    def end_sessions(self) -> list[str]:
        """End the sessions that were made; returns which could not be ended, in words."""
        problems = []
        for client_id, login in list(self._sessions.items()):
            try:
                self._end_session(client_id, login)
            except LinkError as error:
                problems.append(f"the session {client_id}: {error.message}")
        return problems

    def _clear_retained(self, deadline: float) -> None:
        topics = list(self._retained)
        with self.probe("clear") as probe:
            empty: Iterable[Outgoing] = (Outgoing(topic, b"", retain=True) for topic in topics)
            answered = probe.publish_all(empty, deadline).total()
        if answered < len(topics):
            raise LinkError(f"{len(topics) - answered} are left, there was no time for more")
        self._retained.clear()

    def _end_session(self, client_id: str, login: Login) -> None:
        # A clean start deletes the session (MQTT 5 section 3.1.2.4), and leaves none.
        with Probe(self.target, login, client_id=client_id, version=self.version):
            del self._sessions[client_id]
