"""What a run found, for people and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SHOWN_AT_MOST: Final = 50
"""Violations that are printed; one fault can cause thousands."""


class Report:
    """Figures and violations of one run.

    Attributes:
        figures: Name -> figure, in the order of printing.
        violations: What must not have happened, one line each.
    """

    def __init__(self) -> None:
        self.figures: dict[str, object] = {}
        self.violations: list[str] = []

    def add(self, name: str, figure: object) -> None:
        """Add a figure."""
        self.figures[name] = figure

    def conclude(self, save_to: Path | None) -> int:
        """Print everything and save it; returns the exit status."""
        for name, figure in self.figures.items():
            print(f"{name:>24}: {figure:,}" if isinstance(figure, int) else f"{name:>24}: {figure}")
        for violation in self.violations[:SHOWN_AT_MOST]:
            print(f"VIOLATION {violation}", file=sys.stderr)
        if len(self.violations) > SHOWN_AT_MOST:
            print(f"and {len(self.violations) - SHOWN_AT_MOST} more", file=sys.stderr)
        if save_to is not None:
            save_json(save_to, {**self.figures, "violations": self.violations})
        print("FAILED" if self.violations else "ok")
        return 1 if self.violations else 0


def save_json(path: Path, document: Mapping[str, object]) -> None:
    """Write a document for programs."""
    path.write_text(json.dumps(document, indent=2) + "\n")
