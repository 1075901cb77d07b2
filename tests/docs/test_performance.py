"""The document on performance names what the benchmark suite has."""

from __future__ import annotations

import re
import shlex

from benchmarks.plan import Plan
from benchmarks.rows import GROUPS, ROWS, needed
from benchmarks.suite import make_parser
from benchmarks.workloads import WORKLOADS
from tests.docs.markdown import Document

PERFORMANCE = Document("performance.md")


def test_every_command_is_understood() -> None:
    """With the arguments that make passes on."""
    lines = re.findall(r'^ +make bench BENCH_ARGS="(.*?)"', PERFORMANCE.text, re.MULTILINE)
    assert len(lines) > 3
    for line in lines:
        make_parser().parse_args(shlex.split(line))


def test_every_workload_is_explained_with_its_rows() -> None:
    """In the order of the suite, and no row is missing."""
    section = PERFORMANCE.text.partition("### The workloads")[2].partition("###")[0]
    documented = {}
    for line in section.splitlines():
        cells = [re.findall(r"`(\w+)`", cell) for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            documented[cells[0][0]] = set(cells[-1])
    assert list(documented) == list(WORKLOADS)
    assert documented == {
        workload: {row.group for row in ROWS if workload in needed([row])} for workload in WORKLOADS
    }
    assert set().union(*documented.values()) == set(GROUPS)


def test_the_sizes_are_those_of_the_suite() -> None:
    """Devices, twins, and what is outstanding."""
    plan = Plan()
    for text in (
        f"{plan.devices} devices take turns",
        f"{plan.many_devices:,} devices",
        f"{plan.outstanding} updates on their way",
        f"{plan.rate_per_s} updates a second",
        f"{plan.twins:,} twins in the store",
        f"for {plan.idle_s:.0f} seconds",
    ):
        assert text in PERFORMANCE.text
