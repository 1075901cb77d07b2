"""The list of dependencies is that of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain

import pytest

from tests.docs.markdown import ROOT, Document, plain
from tests.support.imports import imported, read_package

DEPENDENCIES = Document("dependencies.md")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

_REQUIREMENT = re.compile(r"([\w.-]+)>=([\w.]+)(?:,<[\w.]+)?\Z")


def _normal(name: str) -> str:
    """Return the name of a distribution as installers compare it."""
    return name.lower().replace("_", "-")


def documented(heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading."""
    section = DEPENDENCIES.text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def requirements(listed: list[str]) -> dict[str, str]:
    """Return name and lower bound of requirements, which have no more than an upper one beside."""
    matches = [_REQUIREMENT.match(requirement) for requirement in listed]
    assert all(matches), listed
    return {match[1]: match[2] for match in matches if match}


@pytest.mark.parametrize(
    ("heading", "listed"),
    [
        ("To run", PYPROJECT["project"]["dependencies"]),
        ("To run faster", PYPROJECT["project"]["optional-dependencies"]["speed"]),
        ("To trace", PYPROJECT["project"]["optional-dependencies"]["tracing"]),
        ("To test", PYPROJECT["dependency-groups"]["test"]),
        ("To check", PYPROJECT["dependency-groups"]["check"]),
        ("To try faults", PYPROJECT["dependency-groups"]["mutation"]),
        ("To fuzz", PYPROJECT["dependency-groups"]["fuzz"]),
        ("To audit", PYPROJECT["dependency-groups"]["audit"]),
    ],
)
def test_every_dependency_is_explained(heading: str, listed: list[str]) -> None:
    """One line each, with the lower bound, and none that is not there."""
    rows = documented(heading)
    assert {plain(row[0]): row[1] for row in rows} == requirements(listed)
    assert all(len(row) == 4 and row[3].endswith(".") for row in rows)


def test_each_is_imported_where_the_table_says() -> None:
    """A dependency that nothing imports any more is not needed."""
    distributions = {
        module: {_normal(name) for name in names}
        for module, names in packages_distributions().items()
    }
    users: dict[str, set[str]] = {}
    for package in ("bridge", "device_sim", "tests"):
        modules = read_package(ROOT, package)
        names = chain.from_iterable(imported(module, frozenset()) for module in modules)
        for top in {name.partition(".")[0] for _, name in names}:
            for distribution in distributions.get(top, ()):
                users.setdefault(distribution, set()).add(package)
    for row in documented("To run"):
        name = plain(row[0])
        listed = {plain(user) for user in row[2].split(", ") if user}
        found = users.get(_normal(name), set())
        # That the tests import what the product uses says nothing about it.
        assert listed == (found - {"tests"} or found), name
    for row in documented("To test"):
        if row[2]:
            assert "tests" in users[_normal(plain(row[0]))], row[0]


def test_the_build_backend_is_named() -> None:
    """It is a dependency as well."""
    (requirement,) = PYPROJECT["build-system"]["requires"]
    (name,) = requirements([requirement])
    assert name in DEPENDENCIES.code()
