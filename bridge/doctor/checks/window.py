"""How many messages go unacknowledged, either way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.doctor.examination import MQTT_5, SESSION_EXPIRY_S, Examination
from bridge.doctor.finding import Finding, Severity
from bridge.doctor.probe import Outgoing

ENOUGH: Final = 100
"""Publishes on their way: with fewer, every commit waits for the broker."""

ALLOWED: Final = 20
"""Receive maximum of the connection that is tried."""

ACKNOWLEDGED: Final = 30
"""Messages that it acknowledges: only then faulty brokers begin to send too many."""

MESSAGES: Final = 600
"""Published for it: far more than it may be sent."""

_NAME = "win"


def check(examination: Examination) -> Iterator[Finding]:
    """Read what CONNACK allows us, and count what is sent to who does not acknowledge."""
    topic = examination.topic("window")
    with examination.probe(_NAME, expiry_s=SESSION_EXPIRY_S, acknowledge=0) as probe:
        granted = probe.granted.receive_maximum
        probe.subscribe(topic)
        probe.publish_all(
            (Outgoing(topic, b"%d" % number) for number in range(MESSAGES)),
            examination.stop_sending_at(),
        )
        outstanding = probe.settle(examination.deadline)
    is_5 = examination.version == MQTT_5
    with examination.probe(
        _NAME,
        expiry_s=SESSION_EXPIRY_S,
        receive_maximum=ALLOWED if is_5 else None,
        acknowledge=ACKNOWLEDGED if is_5 else None,
    ) as probe:
        again = probe.settle(examination.deadline)
    yield _redelivered(outstanding, again)
    if is_5:
        yield _taken(granted)
        yield _sent(max(0, again - ACKNOWLEDGED))
    else:
        yield _sent_3(outstanding)


def _redelivered(outstanding: int, again: int) -> Finding:
    measured = {"unacknowledged": outstanding, "delivered_again": min(again, outstanding)}
    if again >= outstanding:
        return Finding(
            "redelivery",
            Severity.OK,
            "delivers again what was unacknowledged when a connection ended",
            measured,
        )
    return Finding(
        "redelivery",
        Severity.CRITICAL,
        f"delivers {again} of {outstanding} messages again that were unacknowledged when a "
        "connection ended: what the bridge had not committed is lost",
        measured,
        mosquitto="use Mosquitto in place of a broker that does this",
        emqx="use EMQX in place of a broker that does this",
    )


def _count(outstanding: int) -> str:
    at_end = outstanding >= MESSAGES - ACKNOWLEDGED
    return f"at least {outstanding}" if at_end else str(outstanding)


def _taken(granted: int) -> Finding:
    measured = {"receive_maximum": granted}
    message = f"takes {granted} publishes before it has acknowledged one"
    if granted >= ENOUGH:
        return Finding("window_taken", Severity.OK, message, measured)
    return Finding(
        "window_taken",
        Severity.WARNING,
        f"{message}: the bridge publishes no faster than that many for each round trip",
        measured,
        mosquitto="max_inflight_messages 1000",
        emqx="mqtt.max_inflight = 1000",
    )


def _sent(outstanding: int) -> Finding:
    measured = {"receive_maximum": ALLOWED, "outstanding": outstanding}
    if outstanding <= ALLOWED:
        return Finding(
            "window_sent",
            Severity.OK,
            f"sends no more than the {ALLOWED} unacknowledged messages that a client allows",
            measured,
        )
    return Finding(
        "window_sent",
        Severity.WARNING,
        f"sends {_count(outstanding)} unacknowledged messages where a client allows {ALLOWED}; the "
        "bridge holds it back, clients of your own may not",
        measured,
        mosquitto="use 2.0.13 or newer",
        emqx="report it: MQTT 5 section 4.9 forbids it",
    )


def _sent_3(outstanding: int) -> Finding:
    is_enough = outstanding >= ENOUGH
    return Finding(
        "window_sent",
        Severity.NOTE if is_enough else Severity.WARNING,
        f"sends {outstanding} messages ahead of acknowledgements"
        + ("" if is_enough else ": the bridge takes no more in one commit"),
        {"outstanding": outstanding, "published": MESSAGES},
        mosquitto="" if is_enough else "max_inflight_messages 1000",
        emqx="" if is_enough else "mqtt.max_inflight = 1000",
    )
