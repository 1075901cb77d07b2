"""The simulation: it is the same for the same seed, and finds, shrinks and prints what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import simulate
from bridge.core import reconcile
from bridge.core.cell import Cell
from bridge.core.tree import Merge
from tests.reference.pair import Divergence
from tests.reference.shrinking import as_code, as_test, shrink
from tests.reference.steps import Delete, History, Send

HISTORIES = 300

# It is work, not waiting: on a busy machine it takes long.
pytestmark = pytest.mark.timeout(1800)
SUMMARY = re.compile(r"seed 7: (\d+) histories, (\d+) messages, (\d+) divergences, \d+ s\n$")


def summary(printed: str) -> tuple[int, int, int]:
    """Return histories, messages and divergences of a run."""
    found = SUMMARY.search(printed)
    assert found is not None, printed
    histories, messages, divergences = map(int, found.groups())
    return histories, messages, divergences


def test_the_core_does_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    """In some hundred histories of at least twenty messages each."""
    status = simulate.main(["--histories", str(HISTORIES), "--seed", "7", "--jobs", "1"])
    printed = capsys.readouterr().out
    histories, messages, divergences = summary(printed)
    assert (status, histories, divergences) == (simulate.EXIT_OK, HISTORIES, 0), printed
    assert messages >= 20 * HISTORIES


def test_a_history_is_the_same_in_any_process(capsys: pytest.CaptureFixture[str]) -> None:
    """One seed gives one set of histories, on however many cores."""
    lines = []
    for jobs in ("1", "2"):
        simulate.main(["--histories", "30", "--seed", "7", "--first", "11", "--jobs", jobs])
        lines.append(summary(capsys.readouterr().out))
    assert lines[0] == lines[1]


def ignore_what_came_before(right: Callable[..., int]) -> Callable[..., int]:
    """A late message is stamped like a new one."""
    return lambda now, **rest: right(now, **{**rest, "ceiling": None})


def count_every_total(right: Callable[..., bool]) -> Callable[..., bool]:
    """A running total that is repeated counts again."""

    def write(cell: Cell, key: tuple[int, str, int, int], *rest: Any) -> bool:
        return right(cell, (*key[:2], key[0], key[3]), *rest)

    return write


def keep_every_mark(right: Callable[..., None]) -> Callable[..., None]:
    """A mark is not removed by what is newer."""
    return lambda *_: None


PLANTED = [
    (reconcile, "stamp_of", ignore_what_came_before),
    (Cell, "write", count_every_total),
    (Merge, "_drop_older_marker", keep_every_mark),
]


@pytest.mark.parametrize(("owner", "name", "fault"), PLANTED)
def test_a_planted_fault_is_found_made_small_and_printed(
    owner: Any,
    name: str,
    fault: Callable[[Any], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is printed is a test: it fails with the fault, and passes without it."""
    monkeypatch.setattr(simulate, "SHOWN_AT_MOST", 1)
    with monkeypatch.context() as planted:
        planted.setattr(owner, name, fault(getattr(owner, name)))
        status = simulate.main(["--histories", str(HISTORIES), "--seed", "7", "--jobs", "1"])
        printed = capsys.readouterr().out
        assert status == simulate.EXIT_DIVERGED
        assert summary(printed)[2] > 0
        test = printed_test(printed)
        with pytest.raises(Divergence):
            test()
    test()


def printed_test(printed: str) -> Callable[[], None]:
    """Return the first test case that was printed."""
    source = printed[printed.index("# ") : SUMMARY.search(printed).start()]  # type: ignore[union-attr]
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102
    (test,) = [value for name, value in names.items() if name.startswith("test_history_7_")]
    assert source.count("Send(") <= 8, "it is not small"
    return test  # type: ignore[no-any-return]


def test_shrinking_leaves_what_the_failure_needs() -> None:
    """Here: that two writers set `a`, one of them at a time of its own."""

    def fails(history: History) -> bool:
        sends = [step for step in history.steps if isinstance(step, Send) and "a" in step.patch]
        return len({send.writer for send in sends}) > 1 and any(send.t for send in sends)

    noise = [Delete("anna", 5), Send("reported", "lamp", {"x": {"y": 1}}, 9, boot=3, seq=8)]
    first = Send("desired", "anna", {"a": {"b": [1, 2]}, "c": True}, 77, seen=4, t=12)
    second = Send("desired", "zoe", {"a": 2.5, "d": None}, 99, full=True, packet_id=3)
    small = shrink(History({"desired.**": "sum"}, [*noise, first, *noise, second]), fails)
    assert small.table == {}
    assert [step.writer for step in small.steps if isinstance(step, Send)] == ["anna", "zoe"]
    assert len(small.steps) == 2
    assert all(set(step.patch) == {"a"} for step in small.steps if isinstance(step, Send))
    assert sum(step.t is not None for step in small.steps if isinstance(step, Send)) == 1
    assert all(
        step.seen is None and not step.full for step in small.steps if isinstance(step, Send)
    )


def test_a_step_prints_as_the_python_that_makes_it() -> None:
    """Without what is the default."""
    step = Send("desired", "zoe", {"a": {}}, 7, seen=2)
    code = "Send(section='desired', writer='zoe', patch={'a': {}}, clock=7, seen=2)"
    assert as_code(step) == code
    printed = as_test(History({}, [step]), "why", "it")
    assert f"        {code}," in printed
    assert printed.startswith("# why\n")
