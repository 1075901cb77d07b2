"""Who may do what: whether the broker lets in too many, and lets them do too much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.core.topics import TopicGrammar, TwinKey
from bridge.doctor.examination import MQTT_5, Examination
from bridge.doctor.finding import Finding, Measured, Severity
from bridge.doctor.probe import Outgoing
from bridge.doctor.target import ANONYMOUS, Login
from bridge.errors import LinkError, LinkLost
from bridge.link.reasons import FIRST_FAILURE

_ACL_MOSQUITTO: Final = (
    "acl_file with `pattern write {prefix}/%u/report` and its like for devices, and nothing below "
    "{prefix}/ for anybody else"
)
_ACL_EMQX: Final = (
    "authorization rules on {prefix}/${{username}}/report and its like; "
    "authorization.no_match = deny"
)


def check_anonymous(examination: Examination) -> Iterator[Finding]:
    """Try to connect without a name."""
    try:
        with examination.probe("anon", login=ANONYMOUS):
            pass
    except LinkError as error:
        if error.recoverable:
            # Silence is no refusal.
            raise
        yield Finding(
            "anonymous",
            Severity.OK,
            f"lets nobody in without a name ({error.message})",
            {"connects": False},
        )
        return
    writes = _writes(examination, ANONYMOUS, "anon")
    forged = [name for name, may in writes.items() if may]
    yield Finding(
        "anonymous",
        Severity.CRITICAL if forged else Severity.WARNING,
        "lets anybody in without a name"
        + (f", and to write what is another's: {', '.join(forged)}" if forged else ""),
        {"connects": True, **writes},
        mosquitto="allow_anonymous false, with a password_file and an acl_file",
        emqx="add an authenticator: without any, everybody may connect",
    )


def check_logins(examination: Examination) -> Iterator[Finding]:
    """Try what the given logins may write that is not theirs."""
    target = examination.target
    if not target.login.is_anonymous:
        writes = _writes(examination, target.login, "self")
        yield _right_of_examiner(writes)
    if target.device is None:
        yield Finding(
            "device_rights",
            Severity.UNKNOWN,
            "what a device may do that is not its own was not tried: no login of one was given",
        )
        return
    writes = _writes(examination, target.device, "dev")
    forged = [name for name, may in writes.items() if may]
    if forged:
        yield Finding(
            "device_rights",
            Severity.CRITICAL,
            f"the device {target.device.username} may write what is another's: {', '.join(forged)}",
            writes,
            mosquitto=_ACL_MOSQUITTO.format(prefix=target.prefix),
            emqx=_ACL_EMQX.format(prefix=target.prefix),
        )
        return
    yield Finding(
        "device_rights",
        Severity.OK,
        f"the device {target.device.username} cannot write another's topics, nor the bridge's",
        writes,
    )


def _right_of_examiner(writes: dict[str, Measured]) -> Finding:
    allowed = [name for name, may in writes.items() if may]
    return Finding(
        "own_rights",
        Severity.NOTE,
        f"the login that examines may write any device's {' and '.join(allowed)}: right for the "
        "bridge and for operators, wrong for a device"
        if allowed
        else "the login that examines cannot write any device's topics",
        writes,
    )


def _writes(examination: Examination, login: Login, name: str) -> dict[str, Measured]:
    """Tell which topics that are not its own a login may write.

    The payloads are such that a bridge refuses them and keeps nothing: a report with metadata that
    is not known, the deletion of a twin that does not exist. Both have an id, so that the refusal
    is a reply, which nobody reads, and not kept for the operator.
    """
    stranger = TwinKey(examination.stranger)
    grammar = TopicGrammar(examination.target.prefix)
    identifier = b'{"$":{"id":"doctor"'
    tried = {
        "report": Outgoing(grammar.topic(stranger, "report"), identifier + b',"doctor":1}}'),
        "delete": Outgoing(grammar.topic(stranger, "delete", "doctor"), identifier + b"}}"),
    }
    if login is not examination.target.login:
        tried["$bridge"] = Outgoing(examination.topic("forged", name), b"1")
    return {each: _may_write(examination, login, name, message) for each, message in tried.items()}


def _may_write(examination: Examination, login: Login, name: str, message: Outgoing) -> bool | None:
    """Tell whether a publish is let through; None where that cannot be seen.

    Raises:
        LinkError: The login is not let in, or there is no answer.
    """
    try:
        with examination.probe(name, login=login) as probe:
            probe.subscribe(message.topic)
            answer = probe.publish(message)
            arrived = probe.settle(examination.deadline)
    except LinkLost:
        # A broker may answer what it does not allow by ending the connection.
        return False
    if arrived:
        return True
    if examination.version == MQTT_5:
        return answer < FIRST_FAILURE
    # MQTT 3.1.1 cannot refuse a publish: it was dropped, or we may not read there.
    return None
