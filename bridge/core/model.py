"""What a section has to fit, where somebody says so: asked here, decided elsewhere.

The core knows no language of schemas. It only asks before it merges an update, and takes the answer
as it takes the limits.
"""

from __future__ import annotations

from typing import Protocol

from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName


class Model(Protocol):
    """What one section has to fit."""

    def fits(self, value: JsonObject) -> bool:
        """Tell whether a section fits; the empty one always does."""
        ...

    def refusal(self, before: JsonObject, after: JsonObject) -> Refusal | None:
        """Say why an update is refused that leads from a section to another one; None if it is not.

        What is wrong in the section already, and stays as it is, is no reason.
        """
        ...


class Models(Protocol):
    """Which model holds where."""

    def model(self, key: TwinKey, section: SectionName) -> Model | None:
        """Return what a section of a twin has to fit; None where that is nothing."""
        ...
