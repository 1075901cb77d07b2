"""What comes out for a row, and how it is shown."""

from __future__ import annotations

import pytest

from benchmarks.plan import Plan
from benchmarks.rows import ROWS, Measured, Result, Row, evaluate, needed
from benchmarks.table import cost_table, figure, result_table

BRIDGE = Measured("bridge", "closed")
ECHO = Measured("echo", "closed")
ROW = Row("closed", "loop of {outstanding}", "updates_per_s", "updates/s", BRIDGE, ECHO, 1.5)


def result(mine: list[float], its: list[float], row: Row = ROW) -> Result:
    """Return what comes out of rounds with these throughputs."""
    (found,) = evaluate(
        [row],
        {
            BRIDGE: [{"updates_per_s": value} for value in mine],
            ECHO: [{"updates_per_s": value} for value in its],
        },
    )
    return found


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """Not the ratio of medians: each round is compared with itself."""
    found = result([10.0, 40.0, 30.0], [10.0, 20.0, 10.0])
    assert (found.value, found.reference, found.ratio) == (30.0, 10.0, 2.0)
    assert found.holds


@pytest.mark.parametrize(("at_least", "holds"), [(True, False), (False, True)])
def test_a_target_is_a_lower_or_an_upper_bound(*, at_least: bool, holds: bool) -> None:
    """A ratio of 1 against a target of 1.5."""
    row = Row("closed", "", "updates_per_s", "", BRIDGE, ECHO, 1.5, at_least)
    assert result([1.0], [1.0], row).holds is holds


def test_a_round_without_figures_does_not_count() -> None:
    """Of either side; where none is left the row does not hold."""
    runs = {
        BRIDGE: [{"updates_per_s": 9.0}, {}, {"updates_per_s": 4.0}],
        ECHO: [{}, {"updates_per_s": 1.0}, {"updates_per_s": 2.0}],
    }
    (found,) = evaluate([ROW], runs)
    assert (found.value, found.ratio) == (4.0, 2.0)
    (found,) = evaluate([ROW], {BRIDGE: [{}], ECHO: [{}]})
    assert found.value is None
    assert not found.holds
    assert "| not measured |" in result_table([found], Plan())


def test_a_reference_is_measured_beside_what_is_held_against_it() -> None:
    """Each workload once for each peer, whatever rows need it."""
    assert needed(row for row in ROWS if row.group in ("saturated", "cpu")) == {
        "saturated": ["echo", "bridge", "paho, group commit", "paho, commit per message"],
        "many": ["bridge"],
    }


def test_the_table_says_what_was_found() -> None:
    """In the sizes of the plan."""
    found = result([90_000.0], [40_000.0])
    assert result_table([found], Plan(outstanding=7)).splitlines()[-1] == (
        "| loop of 7 | 90,000 updates/s | echo: 40,000 | 2.25 | ≥ 1.5 x | yes |"
    )


def test_the_costs_are_shown_apart() -> None:
    """Of peer, broker and load; a run that did not come to its end has none."""
    costs = {"peer_cpu_us": 9.0, "broker_cpu_us": 20.0, "load_cpu_us": 3.0}
    table = cost_table({BRIDGE: [{**costs, "updates_per_s": 1234.0}, {}], ECHO: [{}]})
    assert table.splitlines()[2:] == ["| closed | bridge | 1,234 | 9.0 | 20.0 | 3.0 |  |"]


@pytest.mark.parametrize(
    ("value", "text"), [(12_345.6, "12,346"), (99.94, "99.9"), (3.14159, "3.14"), (0.0, "0.00")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    """More would say that they are known so exactly."""
    assert figure(value) == text
