"""The architecture document names what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bridge.config import SETTINGS
from tests.docs.markdown import ROOT, Document

ARCHITECTURE = Document("architecture.md")

_SYMBOL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")
_PATH = re.compile(r"(bridge|device_sim|tests|benchmarks)(/[\w.]+)+")


def defined(body: list[ast.stmt], owner: str = "") -> Iterator[str]:
    """Yield what a module defines: classes, functions, methods, constants and fields."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield owner + node.name
            yield from defined(node.body, f"{owner}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield owner + node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield owner + node.target.id
        elif isinstance(node, ast.Assign):
            yield from (
                owner + target.id for target in node.targets if isinstance(target, ast.Name)
            )


@cache
def symbols(path: Path) -> frozenset[str]:
    """Return what a file defines."""
    return frozenset(defined(ast.parse(path.read_text(encoding="utf-8")).body))


def linked_symbols(document: Document) -> Iterator[tuple[str, Path]]:
    """Yield each linked symbol with the file that should define it."""
    for text, target in document.links():
        path = (document.path.parent / target).resolve()
        if path.suffix == ".py" and _SYMBOL.fullmatch(text) and not text.endswith(".py"):
            yield text, path


def test_every_symbol_is_where_its_link_leads() -> None:
    """Classes, functions, methods, constants, and tests."""
    found = list(linked_symbols(ARCHITECTURE))
    assert len(found) > 80
    assert [f"{name} in {path.name}" for name, path in found if name not in symbols(path)] == []


def test_every_path_exists() -> None:
    """Files and folders that are named without a link."""
    paths = [text for text in ARCHITECTURE.code() if _PATH.fullmatch(text)]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_setting_exists() -> None:
    """Named as in the configuration."""
    sections = {name.partition(".")[0] for name in SETTINGS if "." in name}
    named = [text for text in ARCHITECTURE.code() if text.partition(".")[0] in sections]
    assert [text for text in named if text not in SETTINGS and "." in text] == []


def test_every_task_is_named_as_the_code_names_it() -> None:
    """So that a debugger's list of tasks can be read with the table."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "bridge").rglob("*.py"))
    tasks = [
        row[0].split("`")[1].removeprefix("bridge ").partition(" HOST")[0]
        for row in ARCHITECTURE.table("task or thread | what it does | ends")
        if "`" in row[0]
    ]
    assert tasks
    assert [task for task in tasks if not re.search(rf'"{task}["( ]', source)] == []


def test_no_line_number_is_given() -> None:
    """They would be wrong after the next change."""
    assert not re.search(r"\.py[:#]L?\d|\bline \d", ARCHITECTURE.text)


def test_every_invariant_has_a_test() -> None:
    """Each of the twelve."""
    rows = ARCHITECTURE.table("invariant | mechanism | where | shown by")
    assert [row[0].partition(".")[0] for row in rows] == [str(n) for n in range(1, 13)]
    assert [row[0] for row in rows if "test_" not in row[3]] == []
