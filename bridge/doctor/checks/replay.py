"""Retained messages: whether they are kept, and whether a subscriber gets all of them."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.doctor.examination import Examination
from bridge.doctor.finding import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Retain messages, and subscribe to them anew."""
    wanted = examination.bounds.messages
    with examination.probe("ret") as probe:
        if not probe.granted.retained:
            yield _kept(wanted, 0)
            return
        answers = probe.publish_all(
            (
                examination.retained("retained", str(number), payload=b"%d" % number)
                for number in range(wanted)
            ),
            examination.stop_sending_at(),
        )
    retained = answers.total()
    with examination.probe("rep0") as probe:
        probe.subscribe(examination.topic("retained", "+"), qos=0)
        probe.settle(examination.deadline)
        kept = len({message.topic for message in probe.arrived if message.retain})
    with examination.probe("rep1") as probe:
        probe.subscribe(examination.topic("retained", "+"), qos=1)
        probe.settle(examination.deadline)
        replayed = len({message.topic for message in probe.arrived if message.retain})
    yield _kept(retained, max(kept, replayed))
    if kept or replayed:
        yield _replay(retained, replayed)


def _kept(retained: int, kept: int) -> Finding:
    measured = {"retained": retained, "kept": kept}
    if kept == retained:
        return Finding(
            "retained", Severity.OK, f"kept all of {retained} retained messages", measured
        )
    return Finding(
        "retained",
        Severity.CRITICAL,
        f"kept {kept} of {retained} retained messages: states and deltas are not there for who "
        "asks later",
        measured,
        mosquitto="retain_available true",
        emqx="retainer.enable = true; retainer.backend.max_retained_messages = 0; "
        "mqtt.retain_available = true",
    )


def _replay(retained: int, replayed: int) -> Finding:
    measured = {"retained": retained, "replayed": replayed}
    if replayed == retained:
        return Finding(
            "replay",
            Severity.OK,
            f"a subscriber at QoS 1 gets all of {retained} retained messages",
            measured,
        )
    return Finding(
        "replay",
        Severity.CRITICAL,
        f"a subscriber at QoS 1 gets {replayed} of {retained} retained messages, and is not told: "
        "the bridge does not see all presences, nor an application all states",
        measured,
        mosquitto="max_queued_messages above the number of twins and of devices, such as 100000",
        emqx="mqtt.max_mqueue_len above the number of twins and of devices, such as 100000",
    )
