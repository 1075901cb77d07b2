"""Shared subscriptions. The bridge uses none; others who read beside it may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.doctor.examination import SESSION_EXPIRY_S, Examination
from bridge.doctor.finding import Finding, Severity
from bridge.doctor.probe import Outgoing
from bridge.errors import LinkError
from bridge.link.reasons import FIRST_FAILURE

MESSAGES: Final = 20


def check(examination: Examination) -> Iterator[Finding]:
    """Subscribe to a group of our own, and let a member of it leave without acknowledging."""
    topic = examination.topic("shared")
    group = f"$share/doctor-{examination.run}/{topic}"
    try:
        with examination.probe("sha") as member:
            granted = member.subscribe(group)
            member.publish_all(Outgoing(topic, b"%d" % number) for number in range(MESSAGES))
            arrived = member.settle(examination.deadline)
    except LinkError as error:
        yield _not_offered(f"ends the connection of who subscribes to $share: {error.message}")
        return
    if granted >= FIRST_FAILURE:
        yield _not_offered(f"refuses a subscription to $share with 0x{granted:02x}")
        return
    if arrived < MESSAGES:
        yield _not_offered(
            f"grants a subscription to $share and passes {arrived} of {MESSAGES} messages on"
        )
        return
    yield Finding(
        "shared", Severity.OK, "offers shared subscriptions ($share)", {"arrived": arrived}
    )
    if not examination.binds_client_ids:
        yield _failover(examination, topic, group)


def _failover(examination: Examination, topic: str, group: str) -> Finding:
    """Let a member get all and leave; see what another one then gets."""
    with examination.probe("sha1", expiry_s=SESSION_EXPIRY_S, acknowledge=0) as leaving:
        leaving.subscribe(group)
        leaving.publish_all(Outgoing(topic, b"%d" % number) for number in range(MESSAGES))
        leaving.settle(examination.deadline)
        with examination.probe("sha2") as staying:
            staying.subscribe(group)
            leaving.close()
            handed_over = staying.settle(examination.deadline)
    measured = {"unacknowledged": MESSAGES, "handed_over": handed_over}
    if handed_over:
        return Finding(
            "shared_failover",
            Severity.NOTE,
            f"hands {handed_over} of {MESSAGES} messages of a member that left to another one",
            measured,
        )
    return Finding(
        "shared_failover",
        Severity.NOTE,
        f"hands none of {MESSAGES} messages of a member that left to another one: shared "
        "subscriptions are no failover",
        measured,
    )


def _not_offered(what: str) -> Finding:
    return Finding(
        "shared",
        Severity.NOTE,
        f"{what}; the bridge uses none",
        mosquitto="use 1.6 or newer",
        emqx="mqtt.shared_subscription = true",
    )
