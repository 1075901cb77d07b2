"""Mutation testing, in its short form: one small module, by its own tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.mutation import Score, change_of, explained, main, score_of
from tests.docs.markdown import ROOT

NEEDED = (
    "bridge/__init__.py", "bridge/core", "tests/__init__.py", "tests/conftest.py", "tests/support",
    "tests/core/__init__.py", "tests/core/conftest.py", "tests/core/test_stamp.py",
    "docs/mutation.md",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, in which only the stamps are mutated; the working directory."""
    for name in NEEDED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    configuration = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for wide, narrow in (
        ('"bridge/core/*.py"', '"bridge/core/stamp.py"'),
        ('"tests/core"', '"tests/core/test_stamp.py"'),
    ):
        assert configuration.count(wide) == 1
        configuration = configuration.replace(wide, narrow)
    (tmp_path / "pyproject.toml").write_text(configuration, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)  # seconds, unless others have the machine
def test_a_fault_is_noticed_or_explained(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Those in the stamps, by the tests of the stamps; without one of them a fault survives."""
    assert main([]) == 0
    *_, score, _ = capfd.readouterr().out.splitlines()
    killed, of, mutants, *_ = score.split()
    assert of == "of"
    assert int(killed) >= 0.75 * int(mutants) > 15
    tests = project / "tests/core/test_stamp.py"
    tests.write_text(tests.read_text().partition("def test_who_had_seen_a_value")[0])
    assert main(["bridge.core.stamp.x_stamp_of*"]) == 1
    survivors = (project / "mutants/survivors.txt").read_text()
    survivor = "stamp.stamp_of: stamp = newest_met + 1 => stamp = newest_met + 2"
    assert survivor in survivors
    assert f"not explained: {survivor}" in capfd.readouterr().out


def test_a_mutant_is_told_in_one_line() -> None:
    """The function, and what replaced what."""
    diff = """
--- bridge/core/cell.py
+++ bridge/core/cell.py
@@ -1,3 +1,3 @@
     def copy(self) -> Cell:
-        return a(
-            1)
+        return b(
+            1)
"""
    name = "bridge.core.cell.xǁCellǁcopy__mutmut_12"
    assert change_of(name, diff) == "cell.Cell.copy: return a( 1) => return b( 1)"
    name = "bridge.core.cell.x__own__mutmut_1"
    assert change_of(name, diff).startswith("cell._own: ")


def test_the_score_counts_what_failed_or_did_not_end() -> None:
    """All the others have survived."""
    results = {"a": "killed", "b": "timeout", "c": "survived", "d": "no tests"}
    assert score_of(results) == Score(4, 2)
    assert str(Score(3, 2)) == "2 of 3 mutants killed: 66.7 %, 1 survived"


def test_a_document_explains_what_its_text_blocks_list() -> None:
    """Line by line; the prose around them is the reason."""
    document = "They are equal.\n\n```text\na: 1 => 2\nb: 3 => 4\n```\n\n```sh\nmake mutate\n```\n"
    assert explained(document) == {"a: 1 => 2", "b: 3 => 4"}
