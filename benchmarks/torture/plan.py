"""What a round of torture does: drawn from a seed, the same each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, get_args

from benchmarks.torture.launch import Launch, Point

BrokerKind = Literal["kept", "saved", "snapshot", "empty"]
"""How a broker comes back from SIGKILL.

kept: it is never killed, so that what it accepted may not be lost either;
saved: with what it has saved, which it does after a few changes;
snapshot: with what it had saved at some moment, older than what it has acknowledged since;
empty: with nothing.
"""

BROKER_KINDS: Final[tuple[BrokerKind, ...]] = get_args(BrokerKind)

BROKER_WEIGHTS: Final = (1, 3, 2, 2)
"""How often each is drawn."""

EventKind = Literal[
    "kill-broker", "stop-bridge", "stop-broker", "disk-full", "cut-bridge", "cut-devices",
    "freeze-bridge", "delay-bridge",
]  # fmt: skip
"""What happens in the life of a bridge, beside its end.

The bridge's process or the broker's is stopped with SIGSTOP for a while; the disk is full for a
while; a line is cut, or is dead for a while and tells nobody, or is slow for a while.
"""

_EVENT_WEIGHTS: Final[dict[EventKind, int]] = {
    "kill-broker": 10,
    "stop-bridge": 2,
    "stop-broker": 2,
    "disk-full": 3,
    "cut-bridge": 3,
    "cut-devices": 3,
    "freeze-bridge": 2,
    "delay-bridge": 3,
}

_POINT_WEIGHTS: Final[dict[Point, int]] = {
    "before-commit": 3,
    "inside-commit": 3,
    "after-commit": 3,
    "after-publish": 3,
}

MIGRATION_STATEMENTS: Final = 4
"""So many statements, at least, bring a store of the oldest schema to the newest."""

LIVES: Final = 30
"""Lives of the bridge in a round."""

LONG_STOP_S: Final = 30.0
"""How long a process is stopped for now and then: far beyond the keep-alive, so that the broker has
given its connection up when it goes on."""

LONG_STOPS: Final = 0.03
"""Share of them among the stops: each takes the time of ten lives."""

DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens while the bridge lives.

    Attributes:
        kind: What.
        after_s: How long after the bridge was online, or should have been.
        for_s: How long it goes on.
    """

    kind: EventKind
    after_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Life:
    """The life of one process of the bridge, from its start to its SIGKILL.

    Attributes:
        launch: What happens to it from inside; with a point, that is how it ends.
        is_awaited: It is killed, counted from when it was online; else from its start.
        killed_after_s: How long after that it is killed.
        broker_too: The broker is killed in the same moment.
        events: What else happens.
    """

    launch: Launch = field(default_factory=Launch)
    is_awaited: bool = True
    killed_after_s: float = 0.5
    broker_too: bool = False
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A round.

    Attributes:
        seed: Of the run.
        number: Of the round.
        broker: How the broker comes back.
        begins_older: The store begins with the oldest schema, so that it is migrated.
        devices: How many devices.
        rate_per_s: Updates in a second, all of them together.
        rebuild_per_s: The bridge's pace of rebuilding.
        migrations: At which statement of a migration each of the very first processes dies.
        lives: Of the bridge, after that.
        corrupts: At the end a page of the store is damaged, and a backup restored.
        last_launch: What the last process is started with, in which everything has to come to
            rest.
    """

    seed: int
    number: int
    broker: BrokerKind = "kept"
    begins_older: bool = False
    devices: int = 24
    rate_per_s: int = 150
    rebuild_per_s: int = 1000
    migrations: tuple[int, ...] = ()
    lives: tuple[Life, ...] = ()
    corrupts: bool = False
    last_launch: Launch = field(default_factory=Launch)


def make_plan(seed: int, number: int, *, lives: int = LIVES, long: bool = True) -> Plan:
    """Draw a round.

    Args:
        seed: Of the run.
        number: Of the round; the plan depends on nothing else.
        lives: How many lives the bridge has.
        long: Let some things last as long as they do in the world.
    """
    random = Random(f"{seed} round {number}")
    broker = random.choices(BROKER_KINDS, BROKER_WEIGHTS)[0]
    begins_older = random.random() < 0.5
    migrations = [random.randint(1, MIGRATION_STATEMENTS) for _ in range(random.randint(1, 3))]
    return Plan(
        seed,
        number,
        broker=broker,
        begins_older=begins_older,
        devices=random.choice((8, 24, 60)),
        rate_per_s=random.choice((60, 150, 250)),
        rebuild_per_s=random.choice((100, 1000)),
        migrations=tuple(migrations),
        lives=tuple(_life(random, broker, long=long) for _ in range(lives)),
        corrupts=random.random() < 0.25,
        last_launch=Launch(clock_offset_s=_offset(random)),
    )


def _life(random: Random, broker: BrokerKind, *, long: bool) -> Life:
    offset_s = _offset(random)
    broker_too = broker != "kept" and random.random() < 0.12
    events = _events(random, broker, long=long)
    stopped_until_s = max(
        (e.after_s + e.for_s for e in events if e.for_s >= LONG_STOP_S), default=0.0
    )
    if stopped_until_s:
        # It is to be survived: the end comes some time after it.
        return Life(killed_after_s=stopped_until_s + random.uniform(0.5, 2.0), events=events)
    if random.random() < 0.5:
        point = random.choices(list(_POINT_WEIGHTS), list(_POINT_WEIGHTS.values()))[0]
        launch = Launch(point, _count(random), clock_offset_s=offset_s)
        return Life(launch, broker_too=broker_too, events=events)
    step_s = random.choice((0.0, 0.0, 5.0, -5.0, 3600.0, -3600.0))
    refuses_s = random.choice((0.0, 0.0, 0.0, 0.0, 0.7))
    launch = Launch(
        clock_offset_s=offset_s,
        clock_step_s=step_s,
        clock_step_at_s=random.uniform(1.0, 2.0),
        read_only_at_s=random.uniform(0.0, 0.3),
        read_only_for_s=refuses_s,
    )
    is_awaited = random.random() < 0.7
    killed_after_s = random.uniform(0.0, 1.0) if is_awaited else random.uniform(0.3, 1.5)
    if refuses_s:
        is_awaited, killed_after_s = True, killed_after_s + refuses_s
    return Life(launch, is_awaited, killed_after_s, broker_too, events)


def _count(random: Random) -> int:
    """Draw at which pass it dies: early ones, and such as come after a second or so."""
    return random.choice((1, 2, 3, random.randint(4, 40)))


def _offset(random: Random) -> float:
    """Draw how wrong the clock is: mostly it is right."""
    return random.choice(
        (0.0, 0.0, 0.0, random.uniform(-60.0, 60.0), random.uniform(-DAY_S, DAY_S))
    )


def _events(random: Random, broker: BrokerKind, *, long: bool) -> tuple[Event, ...]:
    weights = dict(_EVENT_WEIGHTS)
    if broker == "kept":
        del weights["kill-broker"]
    kinds = random.choices(list(weights), list(weights.values()), k=random.choice((0, 0, 1, 1, 2)))
    return tuple(sorted((_event(random, k, long=long) for k in kinds), key=lambda e: e.after_s))


def _event(random: Random, kind: EventKind, *, long: bool) -> Event:
    lasts_s = random.uniform(0.2, 1.5)
    if long and kind in ("stop-bridge", "stop-broker") and random.random() < LONG_STOPS:
        lasts_s = LONG_STOP_S
    return Event(kind, random.uniform(0.0, 0.8), lasts_s)
