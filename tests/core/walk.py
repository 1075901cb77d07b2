"""Walking through a table of policies, key by key, as the core does."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.core.policy import Policies
from bridge.core.rules import Rules
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName


def policy_below(rules: Rules | None, path: Iterable[str]) -> str:
    """Return what holds at a path below some rules."""
    for name in path:
        rules = rules.step(name) if rules else None
    return rules.policy if rules else "latest"


def policy_at(policies: Policies, twin: str, path: str) -> str:
    """Return what holds for a twin at a path such as `reported.a.b`."""
    section: SectionName = "reported" if path.startswith("reported.") else "desired"
    rules = policies.rules(TwinKey(*twin.split("/")), section)
    return policy_below(rules, path.split(".")[1:])
