"""What a section shows, straight from the rules: keep every leaf ever written, and look.

Slow and obvious on purpose, and independent of `bridge.core`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]


@dataclass
class ReferenceSection:
    """All leaves of all patches, as (path, key, kind, value)."""

    leaves: list[tuple[Path, Any, str, Any]] = field(default_factory=list)

    def write(self, patch: dict[str, Any], key: Any, *, full: bool = False) -> None:
        """Remember a patch whose leaves all have this key."""
        if full:
            self.leaves.append(((), key, "removal", None))
        self._write(patch, key, ())

    def _write(self, patch: dict[str, Any], key: Any, path: Path) -> None:
        for name, value in patch.items():
            here = (*path, name)
            if value is None:
                self.leaves.append((here, key, "removal", None))
            elif value == {} and isinstance(value, dict):
                self.leaves.append((here, key, "marker", None))
            elif isinstance(value, dict):
                self._write(value, key, here)
            else:
                self.leaves.append((here, key, "value", value))

    def visible(self) -> dict[str, Any]:
        """Return what is to be seen."""
        shown: dict[str, Any] = {}
        for path, key, kind, value in self.leaves:
            if kind == "removal" or self._is_hidden(path, key, kind):
                continue
            place = shown
            for name in path[:-1]:
                place = place.setdefault(name, {})
            if kind == "marker":
                place.setdefault(path[-1], {})
            else:
                place[path[-1]] = value
        return shown

    def _is_hidden(self, path: Path, key: Any, kind: str) -> bool:
        for other_path, other_key, other_kind, _ in self.leaves:
            if other_key <= key:
                continue
            above = other_path == path[: len(other_path)]
            below = path == other_path[: len(path)]
            if above and other_kind in ("value", "removal"):
                return True
            if kind == "value" and below:
                return True
        return False
