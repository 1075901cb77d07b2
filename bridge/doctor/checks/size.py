"""The largest message that the broker takes and passes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.doctor.examination import Examination
from bridge.doctor.finding import Finding, Severity
from bridge.doctor.probe import Outgoing
from bridge.errors import LinkLost
from bridge.link.reasons import FIRST_FAILURE

SMALLEST_BYTES: Final = 1024
FAR_TOO_LARGE_BYTES: Final = 3 * 1024 * 1024
"""More than the default limit of any broker that has one."""


def check(examination: Examination) -> Iterator[Finding]:
    """Publish a payload of the largest size that the bridge takes, then smaller ones."""
    wanted = size = examination.target.payload_bytes
    while size >= SMALLEST_BYTES and not _passes(examination, size):
        size //= 2
    if size < SMALLEST_BYTES:
        size = 0
    measured = {"payload_bytes": size, "wanted_bytes": wanted}
    if size < wanted:
        yield Finding(
            "message_size",
            Severity.CRITICAL,
            f"passes a payload of {size} bytes and not one of {wanted}, which devices may send and "
            "the bridge may publish",
            measured,
            mosquitto=f"max_packet_size {_packet_bytes(wanted)}; no message_size_limit below that",
            emqx=f"mqtt.max_packet_size = {_packet_bytes(wanted) // 1024 + 1}KB",
        )
        return
    yield Finding("message_size", Severity.OK, f"passes payloads of {wanted} bytes on", measured)
    if wanted < FAR_TOO_LARGE_BYTES and _takes(examination, FAR_TOO_LARGE_BYTES):
        yield Finding(
            "message_size_limit",
            Severity.WARNING,
            f"takes a payload of {FAR_TOO_LARGE_BYTES} bytes too: anybody who may log in can fill "
            "its memory",
            {"payload_bytes": FAR_TOO_LARGE_BYTES},
            mosquitto=f"max_packet_size {_packet_bytes(wanted)}",
            emqx=f"mqtt.max_packet_size = {_packet_bytes(wanted) // 1024 + 1}KB",
        )


def _packet_bytes(payload_bytes: int) -> int:
    """Return a limit with room for topic and properties, in round numbers."""
    return -(-payload_bytes * 9 // 8 // 10_000) * 10_000


def _passes(examination: Examination, size_bytes: int) -> bool:
    topic = examination.topic("size")
    try:
        with examination.probe("size") as probe:
            probe.subscribe(topic)
            answer = probe.publish(Outgoing(topic, bytes(size_bytes)))
            return answer < FIRST_FAILURE and probe.settle(examination.deadline) == 1
    except LinkLost:
        return False


def _takes(examination: Examination, size_bytes: int) -> bool:
    try:
        with examination.probe("huge") as probe:
            limit = probe.granted.packet_bytes
            if limit is not None and limit < size_bytes:
                return False
            answer = probe.publish(Outgoing(examination.topic("huge"), bytes(size_bytes)))
            probe.fence()
            return answer < FIRST_FAILURE
    except LinkLost:
        return False
