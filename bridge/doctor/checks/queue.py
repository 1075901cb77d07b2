"""What waits for a client that is away: whether, and how much."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.examination import SESSION_EXPIRY_S, Examination
from bridge.doctor.finding import Finding, Severity
from bridge.doctor.probe import Outgoing

_NAME = "que"


def check(examination: Examination) -> Iterator[Finding]:
    """Fill the queue of a session whose client is away, and come back for it.

    Where a login has one connection at a time, the client fills its own queue, acknowledging
    nothing, before it leaves.
    """
    topic = examination.topic("queue")
    messages = (Outgoing(topic, b"%d" % number) for number in range(examination.bounds.messages))
    with examination.probe(_NAME, expiry_s=SESSION_EXPIRY_S, acknowledge=0) as away:
        away.subscribe(topic)
        if examination.binds_client_ids:
            queued = away.publish_all(messages, examination.stop_sending_at()).total()
    if not examination.binds_client_ids:
        with examination.probe("fill") as other:
            queued = other.publish_all(messages, examination.stop_sending_at()).total()
    with examination.probe(_NAME, expiry_s=SESSION_EXPIRY_S) as back:
        session_present = back.granted.session_present
        back.settle(examination.deadline)
        kept = len({message.payload for message in back.arrived})
    yield _session(examination, session_present=session_present)
    if session_present:
        yield _queue(examination, queued, kept)


def _session(examination: Examination, *, session_present: bool) -> Finding:
    measured = {"session_present": session_present}
    if session_present:
        return Finding(
            "session", Severity.OK, "keeps the session of a client that is away", measured
        )
    who = "an anonymous client" if examination.target.login.is_anonymous else "this login"
    return Finding(
        "session",
        Severity.CRITICAL,
        f"does not keep the session of {who}: what is published while the bridge is away is lost",
        measured,
        mosquitto="persistent_client_expiration above broker.session_expiry_s, such as 14d; amqtt: "
        "log in with a user name, and better use Mosquitto",
        emqx="mqtt.session_expiry_interval above broker.session_expiry_s, such as 14d",
    )


def _queue(examination: Examination, queued: int, kept: int) -> Finding:
    measured = {"acknowledged": queued, "kept": kept}
    if kept == queued:
        return Finding(
            "queue",
            Severity.OK,
            f"kept all of {queued} messages for a client that was away (not tried with more)",
            measured,
        )
    if not kept and examination.target.login.is_anonymous:
        return Finding(
            "queue",
            Severity.CRITICAL,
            f"kept none of {queued} messages for an anonymous client that was away, and "
            "acknowledged all of them",
            measured,
            mosquitto="max_queued_messages 100000; amqtt: log in with a user name, and better use "
            "Mosquitto",
            emqx="mqtt.max_mqueue_len = 100000",
        )
    return Finding(
        "queue",
        Severity.CRITICAL,
        f"kept {kept} of {queued} messages for a client that was away, and acknowledged all of "
        "them: what devices send while the bridge is away is lost beyond that",
        measured,
        mosquitto="max_queued_messages 100000, max_queued_bytes 268435456",
        emqx="mqtt.max_mqueue_len = 100000",
    )
