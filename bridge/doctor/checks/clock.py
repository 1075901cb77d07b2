"""How far the clocks are apart, where that can be known: MQTT itself has no time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import orjson

from bridge.core.topics import TopicGrammar
from bridge.doctor.examination import Examination
from bridge.doctor.finding import Finding, Severity
from bridge.doctor.probe import Arrived

TOLERANCE_S: Final = 5.0
"""Differences below are not worth a line: what was read may be so old."""

BROKER_TIME: Final = "$SYS/brokers/+/datetime"
"""EMQX tells its time there, once a minute or so."""

_STALE_S: Final = 90.0
"""A retained time may be so old."""


def check(examination: Examination) -> Iterator[Finding]:
    """Read the time that the broker tells, and the times in the bridge's status."""
    grammar = TopicGrammar(examination.target.prefix)
    with examination.probe("clk") as probe:
        probe.subscribe(grammar.status)
        probe.subscribe(BROKER_TIME)
        probe.settle(examination.deadline)
        now_s = time.time()
        arrived = list(probe.arrived)
    found = [
        finding
        for message in arrived
        if (finding := judge(message, grammar.status, now_s)) is not None
    ]
    yield from found
    if not found:
        yield Finding(
            "clock",
            Severity.UNKNOWN,
            "the broker does not tell its time, and no bridge's status is ahead of this machine's",
        )


def judge(message: Arrived, status_topic: str, now_s: float) -> Finding | None:
    """Return what a message tells about a clock, or None.

    Args:
        message: The bridge's status, or the broker's time.
        status_topic: The topic of the former.
        now_s: The time here, in seconds since the epoch.
    """
    if message.topic == status_topic:
        ahead_s = _bridge_ahead_s(message.payload, now_s)
        if ahead_s <= TOLERANCE_S:
            return None
        return _differs("bridge", f"at least {ahead_s:.0f} s ahead of", ahead_s)
    told_s = _told_s(message.payload)
    if told_s is None:
        return None
    ahead_s = told_s - now_s
    if ahead_s > TOLERANCE_S or ahead_s < -_STALE_S:
        direction = "ahead of" if ahead_s > 0 else "behind"
        return _differs("broker", f"{abs(ahead_s):.0f} s {direction}", ahead_s)
    return Finding(
        "clock",
        Severity.OK,
        "the broker's clock agrees with that of this machine",
        {"broker_ahead_s": round(ahead_s, 1)},
    )


def _differs(whose: str, how_far: str, ahead_s: float) -> Finding:
    do = f"run chrony or systemd-timesyncd on the {whose}'s machine and on this one"
    return Finding(
        "clock",
        Severity.WARNING,
        f"the {whose}'s clock is {how_far} that of this machine",
        {f"{whose}_ahead_s": round(ahead_s, 1)},
        mosquitto=do,
        emqx=do,
    )


def _bridge_ahead_s(payload: bytes, now_s: float) -> float:
    """Return how far the newest time in a status lies in the future, or 0."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return 0.0
    if not isinstance(document, dict):
        return 0.0
    times = [document.get(name) for name in ("since", "published_through")]
    newest_us = max((each for each in times if isinstance(each, int)), default=0)
    return max(0.0, newest_us / 1_000_000 - now_s)


def _told_s(payload: bytes) -> float | None:
    try:
        told = datetime.fromisoformat(payload.decode())
    except ValueError:
        return None
    return told.astimezone().timestamp()
