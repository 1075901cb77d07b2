"""The document on security names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.markdown import ROOT, Document

SECURITY = Document("security.md")
THREATS = SECURITY.table("threat | what stands against it | shown by")

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def _tests_in(file: str) -> frozenset[str]:
    body = ast.parse((ROOT / file).read_text("utf-8")).body
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in body if isinstance(node, functions))


@pytest.mark.parametrize("row", THREATS, ids=[row[0] for row in THREATS])
def test_every_threat_names_tests_that_exist(row: list[str]) -> None:
    """At least one, and nothing else stands in that cell."""
    shown = row[2]
    named = _TEST.findall(shown)
    assert named
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == shown
    assert [(file, name) for file, name in named if name not in _tests_in(file)] == []


THREATS_THERE_ARE = (
    "a device speaks for another",
    "a device floods",
    "a device invents device ids",
    "takes the bridge's session",
    "the broker, or whoever holds it, reads payloads",
    "the broker changes a payload",
    "poses as the broker",
    "a device is stolen",
    "a message is repeated",
    "a decompression bomb",
    "deep nesting, huge keys, keys that stand twice",
    "a name that means another topic",
    "Unicode",
    "a log line that is forged",
    "uses the HTTP API",
    "a browser is led",
    "a reader that is slow",
    "a dependency that was tampered with",
    "another user of the host",
    "a client takes the session",
    "a claim is used twice",
)
"""What the bridge was designed against, in words of the table."""


@pytest.mark.parametrize("threat", THREATS_THERE_ARE)
def test_every_threat_that_was_thought_of_has_its_row(threat: str) -> None:
    """A row that is lost would be missed by nobody else."""
    assert any(threat in row[0] for row in THREATS)


def test_the_policy_leads_to_the_document_and_back() -> None:
    """Whoever finds one finds the other."""
    assert "(docs/security.md)" in (ROOT / "SECURITY.md").read_text("utf-8")
    assert "(../SECURITY.md)" in SECURITY.text
