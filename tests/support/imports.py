"""Who imports whom, read from the source; and what else the structure of the project forbids."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the project, parsed.

    Attributes:
        name: Dotted.
        path: Its file.
        tree: Its syntax tree.
        lines: How many lines it has.
    """

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @classmethod
    def of(cls, name: str, source: str, path: Path = Path("snippet.py")) -> Module:
        """Parse a source."""
        return cls(name, path, ast.parse(source), source.count("\n"))


def read_package(root: Path, package: str) -> Iterator[Module]:
    """Yield every module of a package below the project's root."""
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield Module.of(name, path.read_text(encoding="utf-8"), path)


def imported(module: Module, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module imports, also inside functions.

    Names of the project are resolved to modules: `from bridge.core import tree` is an import of
    `bridge.core.tree`. A string that is the name of a known module counts too, because that is how
    modules are imported late.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level + (node.module or "")
                continue
            source = node.module or ""
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield node.lineno, full if full in known else source
        elif isinstance(node, ast.Constant) and _names_a_module(node.value, known):
            yield node.lineno, str(node.value)


def _names_a_module(value: object, known: frozenset[str]) -> bool:
    return isinstance(value, str) and "." in value and value in known


def is_allowed(name: str, allowed: frozenset[str]) -> bool:
    """Tell whether a name is listed: `a.b` is that module, `a.b.*` also all below it."""
    if name in allowed or f"{name}.*" in allowed:
        return True
    levels = name.split(".")
    return any(".".join(levels[:n]) + ".*" in allowed for n in range(1, len(levels)))


def group_of(name: str, groups: Mapping[str, frozenset[str]]) -> str | None:
    """Return the longest of the listed names that a module is, or is below."""
    levels = name.split(".")
    for n in range(len(levels), 0, -1):
        group = ".".join(levels[:n])
        if group in groups:
            return group
    return None


def calls(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every call of a plain name."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, node.func.id
