"""The examination as a whole: all checks in their order, and nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from bridge.doctor.checks import clock, login, queue, replay, rights, shared, size, window
from bridge.doctor.examination import Bounds, Examination
from bridge.doctor.finding import SESSION_OF_ANOTHER, Finding, Report, Severity
from bridge.doctor.target import Target
from bridge.errors import LinkError

Check = Callable[[Examination], Iterator[Finding]]

# What a check cannot do without its own topics stands in the second list.
_OF_ANYBODY: tuple[tuple[str, Check], ...] = (
    ("anonymous", rights.check_anonymous),
    ("rights", rights.check_logins),
    ("clock", clock.check),
)
_ON_OWN_TOPICS: tuple[tuple[str, Check], ...] = (
    ("retained", replay.check),
    ("queue", queue.check),
    ("window", window.check),
    ("size", size.check),
    ("shared", shared.check),
)


def examine(
    target: Target,
    bounds: Bounds,
    now_us: int,
    on_finding: Callable[[Finding], None] = lambda _finding: None,
) -> Report:
    """Try what the broker does.

    What it retains, and the sessions that it makes, are gone at the end, whatever happens.

    Args:
        target: The broker.
        bounds: How far to go.
        now_us: The time, in µs since the epoch.
        on_finding: Called with each finding when it is made.

    Raises:
        LinkError: There is no connection to the broker, or it does not let us in.
    """
    examination = Examination(target, bounds)
    findings: list[Finding] = []

    def add(finding: Finding) -> None:
        findings.append(finding)
        on_finding(finding)

    try:
        for finding in _checks(examination):
            add(finding)
    finally:
        left = examination.clear_away()
    for problem in left:
        add(
            Finding(
                "clearing",
                Severity.WARNING,
                f"could not be cleared away: {problem}",
                mosquitto="clear it by hand: mosquitto_pub -r -n -t TOPIC",
                emqx="clear it by hand: emqx ctl retainer clean TOPIC",
            )
        )
    return Report(target.where, now_us, findings)


def _checks(examination: Examination) -> Iterator[Finding]:
    yield from login.check_version(examination)
    for finding in login.check_client_ids(examination):
        yield finding
        if finding.check == SESSION_OF_ANOTHER:
            # Whatever we went on to do, we would do with somebody else's session.
            return
    own = login.check_own_topics(examination)
    yield own
    if own.severity is Severity.OK:
        for name, check in _ON_OWN_TOPICS:
            yield from _bounded(examination, name, check)
    for name, check in _OF_ANYBODY:
        yield from _bounded(examination, name, check)
    yield from login.tell_persistence()


def _bounded(examination: Examination, name: str, check: Check) -> Iterator[Finding]:
    if examination.is_over:
        yield Finding(
            name,
            Severity.UNKNOWN,
            f"not tried: the {examination.bounds.duration_s:g} s of this examination were over",
        )
        return
    started = time.monotonic()
    try:
        yield from check(examination)
    except LinkError as error:
        yield Finding(
            name,
            Severity.UNKNOWN,
            f"could not be tried to the end: {error.message}",
            {"after_s": round(time.monotonic() - started, 1)},
        )
    finally:
        # Where client ids are bound to logins, the next check would come back to this one's.
        examination.end_sessions()
