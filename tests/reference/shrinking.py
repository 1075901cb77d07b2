"""Making a failing history as small as it gets, and printing it as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.reference.pair import Divergence, check_history
from tests.reference.steps import NOW, SECOND, History, Send, Step

ROUNDS_AT_MOST = 20
"""Passes over a history; each but the last has made it smaller."""

DEFAULTS = Send("desired", "", {}, 0)._asdict()
OPTIONAL = (
    "boot",
    "seq",
    "seen",
    "t",
    "if_version",
    "full",
    "packet_id",
    "repeated",
    "retained",
    "bad",
)


def failure(history: History) -> str | None:
    """Return why a history fails, or None."""
    try:
        check_history(history.table, history.steps)
    except Divergence as divergence:
        return str(divergence)
    # Whatever a planted or a real fault in the core raises is a failure as well.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return None


def shrink(history: History, fails: Callable[[History], bool] | None = None) -> History:
    """Return a smaller history that fails too: fewer steps, plainer values."""
    fails = fails or (lambda candidate: failure(candidate) is not None)
    for _ in range(ROUNDS_AT_MOST):
        smaller = history
        for simplify in (_fewer_steps, _fewer_rules, _fewer_members, _plainer_steps):
            smaller = _first_that_fails(smaller, simplify, fails)
        if smaller == history and repr(smaller) == repr(history):
            return history
        history = smaller
    return history


def _first_that_fails(
    history: History,
    simplify: Callable[[History], Iterator[History]],
    fails: Callable[[History], bool],
) -> History:
    """Take each simpler candidate that still fails, and go on from there."""
    progress = True
    while progress:
        progress = False
        for candidate in simplify(history):
            if repr(candidate) != repr(history) and fails(candidate):
                history, progress = candidate, True
                break
    return history


def _fewer_steps(history: History) -> Iterator[History]:
    steps = history.steps
    size = len(steps) // 2
    while size:
        for start in range(len(steps) - size, -1, -1):
            yield history._replace(steps=steps[:start] + steps[start + size :])
        size //= 2


def _fewer_rules(history: History) -> Iterator[History]:
    for pattern in history.table:
        rest = {other: policy for other, policy in history.table.items() if other != pattern}
        yield history._replace(table=rest)


def _with_step(history: History, index: int, step: Step) -> History:
    return history._replace(steps=[*history.steps[:index], step, *history.steps[index + 1 :]])


def _fewer_members(history: History) -> Iterator[History]:
    for index, step in enumerate(history.steps):
        if isinstance(step, Send):
            for patch in _smaller(step.patch):
                yield _with_step(history, index, step._replace(patch=patch))


def _smaller(patch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the patch without one member, or with a plainer one."""
    for name, member in patch.items():
        yield {other: value for other, value in patch.items() if other != name}
        if isinstance(member, dict):
            for inner in _smaller(member):
                yield {**patch, name: inner}
        elif member not in (None, 0, 1) or isinstance(member, bool | float):
            yield {**patch, name: 1}
            yield {**patch, name: [1]}


def _plainer_steps(history: History) -> Iterator[History]:
    for index, step in enumerate(history.steps):
        if isinstance(step, Send):
            for field in OPTIONAL:
                if getattr(step, field) != DEFAULTS[field]:
                    yield _with_step(history, index, step._replace(**{field: DEFAULTS[field]}))
            if step.boot is not None and step.boot != 1:
                yield _with_step(history, index, step._replace(boot=1))
        plain_clock = NOW + index * SECOND
        if hasattr(step, "clock") and step.clock != plain_clock:
            yield _with_step(history, index, step._replace(clock=plain_clock))


def as_test(history: History, reason: str, name: str) -> str:
    """Return a test of this history, ready to be put into a file of its own."""
    lines = [
        f"# {reason}",
        "from tests.reference.pair import check_history",
        "from tests.reference.steps import Appear, Delete, Reload, Send",
        "",
        "",
        f"def test_{name}() -> None:",
        '    """The core and the model agree on this history."""',
        f"    table = {history.table!r}",
        "    steps = [",
        *(f"        {as_code(step)}," for step in history.steps),
        "    ]",
        "    check_history(table, steps)",
    ]
    return "\n".join(lines)


def as_code(step: Step) -> str:
    """Return a step as Python, without what is the default anyway."""
    kind = type(step)
    fields = [
        f"{name}={value!r}"
        for name, value in step._asdict().items()
        if name not in kind._field_defaults or value != kind._field_defaults[name]
    ]
    return f"{kind.__name__}({', '.join(fields)})"
