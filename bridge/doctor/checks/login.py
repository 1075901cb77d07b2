"""Who we are at the broker: the version of MQTT, client ids, and topics of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.doctor.examination import MQTT_3, Examination
from bridge.doctor.finding import SESSION_OF_ANOTHER, Finding, Severity
from bridge.doctor.probe import FOREVER_S, Outgoing
from bridge.errors import LinkError
from bridge.link.reasons import FIRST_FAILURE

FIRST: Final = "1st"
SECOND: Final = "2nd"


def check_version(examination: Examination) -> Iterator[Finding]:
    """Connect for the first time, in MQTT 5, and else in 3.1.1.

    Where the broker takes the user for the client id, this connects to whatever session the user
    has. So it neither starts clean nor acknowledges anything, and has the session kept for ever.

    Raises:
        LinkError: Neither is let in.
    """
    try:
        yield _first_contact(examination)
    except LinkError as error:
        if not error.recoverable:
            raise
        examination.version = MQTT_3
        finding = _first_contact(examination)
        yield finding


def _first_contact(examination: Examination) -> Finding:
    with examination.probe(FIRST, expiry_s=FOREVER_S, acknowledge=0) as probe:
        examination.finds_session = probe.granted.session_present
    if examination.version == MQTT_3:
        return Finding(
            "version",
            Severity.WARNING,
            "speaks MQTT 3.1.1 and not 5: the broker alone sets how much may be on its way, "
            "refused publishes are answered with success, and sessions have no expiry",
            {"version": "3.1.1"},
            mosquitto="use 1.6 or newer, and set no `protocol` or `accept_protocol_versions` "
            "without 5",
            emqx="leave MQTT 5 on; every version from 3.0 speaks it",
        )
    return Finding("version", Severity.OK, "speaks MQTT 5", {"version": "5"})


def check_client_ids(examination: Examination) -> Iterator[Finding]:
    """Find out whether another login could take a session by its client id."""
    if examination.finds_session:
        examination.forget_sessions()
        yield Finding(
            SESSION_OF_ANOTHER,
            Severity.CRITICAL,
            "the broker takes the user name for the client id, and this login has a session, "
            "perhaps the bridge's: nothing further was tried, as it would spoil that session",
            {"binds_client_ids": True},
            mosquitto="examine with a login of its own, which may readwrite "
            f"{examination.target.prefix}/$bridge/doctor/#",
            emqx="examine with a login of its own, which may publish and subscribe to "
            f"{examination.target.prefix}/$bridge/doctor/#",
        )
        return
    with examination.probe(FIRST) as first, examination.probe(SECOND):
        try:
            first.fence()
        except LinkError:
            examination.binds_client_ids = True
    measured = {"binds_client_ids": examination.binds_client_ids}
    if examination.binds_client_ids:
        yield Finding(
            "client_ids",
            Severity.OK,
            "the broker takes the user name for the client id: nobody can take another's session",
            measured,
        )
        return
    yield Finding(
        "client_ids",
        Severity.WARNING,
        "every client chooses its client id: who may log in and knows the bridge's can take its "
        "session, and delete what waits in it",
        measured,
        mosquitto="use_username_as_clientid true",
        emqx="mqtt.use_username_as_clientid = true",
    )


def check_own_topics(examination: Examination) -> Finding:
    """Publish to a topic of our own and see whether it arrives: the rest stands on that."""
    topic = examination.topic("own")
    where = f"{examination.target.prefix}/$bridge/doctor/#"
    try:
        with examination.probe("own") as probe:
            granted = probe.subscribe(topic)
            answer = probe.publish(Outgoing(topic, b"1"))
            arrived = probe.settle(examination.deadline)
    except LinkError as error:
        return _no_topics(f"the connection ended when {where} was used: {error.message}", where)
    if granted >= FIRST_FAILURE or answer >= FIRST_FAILURE or not arrived:
        return _no_topics(f"this login may not write and read {where}", where)
    return Finding("own_topics", Severity.OK, f"this login may write and read {where}")


def _no_topics(why: str, where: str) -> Finding:
    return Finding(
        "own_topics",
        Severity.UNKNOWN,
        f"{why}; what the broker keeps could not be tried",
        mosquitto=f"in the acl_file, for this user: topic readwrite {where}",
        emqx=f"an authorization rule that allows this user all of {where}",
    )


def tell_persistence() -> Iterator[Finding]:
    """Say what cannot be tried."""
    yield Finding(
        "persistence",
        Severity.UNKNOWN,
        "whether the broker has its memory after a restart is not tried: nothing here restarts it",
        mosquitto="persistence true, autosave_on_changes true, autosave_interval 1",
        emqx="durable_sessions.enable = true; retainer.backend.storage_type = disc",
    )
