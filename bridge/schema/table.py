"""Which schema holds for which twins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bridge.core.pattern import DevicePattern
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName
from bridge.schema.model import SchemaModel


class SchemaRule(NamedTuple):
    """One entry of the table.

    Attributes:
        pattern: Which twins.
        section: What of them.
        model: What it has to fit.
    """

    pattern: DevicePattern
    section: SectionName
    model: SchemaModel


class Schemas:
    """The table; of several patterns that match a twin the most specific one holds.

    Args:
        rules: No two of a section are as specific as each other and match the same twin.
    """

    def __init__(self, rules: Iterable[SchemaRule]) -> None:
        self._rules = sorted(rules, key=lambda rule: rule.pattern.rank, reverse=True)

    def model(self, key: TwinKey, section: SectionName) -> SchemaModel | None:
        """Return what a section of a twin has to fit; None where that is nothing."""
        for rule in self._rules:
            if rule.section == section and rule.pattern.matches(key):
                return rule.model
        return None

    def take_over(self, other: Schemas) -> None:
        """Hold what another table of the same patterns holds; twins in memory know these models."""
        for rule, new in zip(self._rules, other._rules, strict=True):
            rule.model.take_over(new.model)
