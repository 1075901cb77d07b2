"""The lines of an outbox's journal, both ways.

One JSON document a line, each after its CRC-32 in eight hexadecimal digits.

| kind | says |
| --- | --- |
| `journal` | the first line: which topic's reports these are |
| `accepted` | a patch was taken; it waits; without `seen` its writer knew no version of the twin |
| `sealed` | the `covers` oldest patches that waited have become a report with these bytes |
| `settled` | the bridge has answered that report |
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import NamedTuple

import orjson

from bridge.device.kept import Restored, SealedReport, WaitingPatch
from bridge.device.payload import JsonObject

FORMAT = 1
"""Number of this file format. A reader passes over members that it does not know."""


class Header(NamedTuple):
    """What the first line says."""

    format: int
    topic: str


class Contents(NamedTuple):
    """What a journal says.

    Attributes:
        header: None where the first line is not one.
        restored: What still waits.
        damaged: Numbers of lines that could not be read, from 1.
        lines: How many lines there are.
    """

    header: Header | None
    restored: Restored
    damaged: list[int]
    lines: int


def header_line(topic: str) -> bytes:
    """Say which topic's reports follow."""
    return _line({"kind": "journal", "format": FORMAT, "topic": topic})


def accepted_line(waiting: WaitingPatch) -> bytes:
    """Say that a patch waits."""
    document: JsonObject = {"kind": "accepted", "full": waiting.full, "patch": waiting.patch}
    if waiting.seen:
        document["seen"] = waiting.seen
    return _line(document)


def sealed_line(report: SealedReport, covers: int) -> bytes:
    """Say that the oldest patches have become a report."""
    payload = base64.b64encode(report.payload).decode()
    return _line(
        {
            "kind": "sealed",
            "boot": report.boot,
            "seq": report.seq,
            "covers": covers,
            "payload": payload,
        }
    )


def settled_line(report: SealedReport) -> bytes:
    """Say that a report has been answered."""
    return _line({"kind": "settled", "boot": report.boot, "seq": report.seq})


def read(content: bytes) -> Contents:
    """Read a journal; what is damaged is passed over."""
    lines = content.removesuffix(b"\n").split(b"\n")
    header = _read_header(lines[0])
    replay = _Replay()
    damaged = [
        number for number, line in enumerate(lines[1:], 2) if not replay.take(_document(line))
    ]
    return Contents(header, replay.restored(), damaged, len(lines))


def _line(document: JsonObject) -> bytes:
    body = orjson.dumps(document)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _document(line: bytes) -> JsonObject | None:
    checksum, _, body = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _read_header(line: bytes) -> Header | None:
    match _document(line):
        case {"kind": "journal", "format": int(number), "topic": str(topic)}:
            return Header(number, topic)
        case _:
            return None


class _Replay:
    """What waits, after each line."""

    def __init__(self) -> None:
        self._accepted: list[WaitingPatch] = []
        self._sealed: dict[tuple[str, int], SealedReport] = {}

    def restored(self) -> Restored:
        return Restored(list(self._sealed.values()), self._accepted)

    def take(self, document: JsonObject | None) -> bool:
        """Follow one line; False if it says nothing that can be followed."""
        match document:
            case {"kind": "accepted", "patch": dict(patch), "full": bool(full), **more}:
                # Files of before `seen` do not have it.
                seen = more.get("seen")
                self._accepted.append(
                    WaitingPatch(patch, full, seen if isinstance(seen, int) else 0)
                )
            case {
                "kind": "sealed",
                "boot": str(boot),
                "seq": int(seq),
                "covers": int(covers),
                "payload": str(payload),
            }:
                return self._take_sealed(boot, seq, covers, payload)
            case {"kind": "settled", "boot": str(boot), "seq": int(seq)}:
                self._sealed.pop((boot, seq), None)
            case _:
                return False
        return True

    def _take_sealed(self, boot: str, seq: int, covers: int, payload: str) -> bool:
        try:
            content = base64.b64decode(payload, validate=True)
        except binascii.Error:
            return False
        self._sealed[boot, seq] = SealedReport(boot, seq, content)
        del self._accepted[:covers]
        return True
