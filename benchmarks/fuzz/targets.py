"""The table of everything that reads bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.fuzz import enrolment, link, planted, sealed, text, wire
from benchmarks.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    target.name: target
    for target in (
        *wire.TARGETS, *text.TARGETS, *sealed.TARGETS, *enrolment.TARGETS, *link.TARGETS
    )
}  # fmt: skip

KNOWN: Final[Mapping[str, Target]] = {**TARGETS, planted.TARGET.name: planted.TARGET}
"""With the one that has a bug, which runs only where it is named."""
