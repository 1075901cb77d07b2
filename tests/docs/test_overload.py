"""The document on overload says what the programs do."""

from __future__ import annotations

import re
import shlex

import pytest

from benchmarks import fairness, overload, soak
from bridge.config import Config
from tests.docs.markdown import ROOT, Document

DOCUMENT = Document("overload.md")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def arguments_of(program: str) -> list[str]:
    """Return the arguments of each command of the document."""
    make = re.findall(rf'^ +make {program}(?: \w+="(.*)")?$', DOCUMENT.text, re.MULTILINE)
    module = re.findall(rf"^ +python -m benchmarks\.{program}(.*)$", DOCUMENT.text, re.MULTILINE)
    return [*make, *module]


@pytest.mark.parametrize("program", [overload, fairness, soak])
def test_every_command_is_understood(program: object) -> None:
    """With its arguments."""
    name = program.__name__.removeprefix("benchmarks.")  # type: ignore[attr-defined]
    lines = arguments_of(name)
    assert len(lines) > 1
    for line in lines:
        program.make_parser().parse_args(shlex.split(line))  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["overload", "soak"])
def test_make_passes_arguments_on(target: str) -> None:
    """Under the name that the document uses."""
    assert f"benchmarks.{target} $({target.upper()}_ARGS)" in MAKEFILE
    assert f'make {target} {target.upper()}_ARGS="' in DOCUMENT.text


def test_the_sizes_are_those_of_the_programs() -> None:
    """And the bounds."""
    flood, long = overload.Plan(), soak.Plan()
    received = 2 * Config().broker.receive_maximum
    for text in (
        f"a fleet of {flood.devices:,} that floods",
        f"{flood.witnesses} witnesses, which send an update every half second",
        f"{flood.burst:,} updates as fast as",
        f"again for {overload.WATCHED_S:.0f} s",
        f"good for {overload.SETTLED_S:.0f} s",
        f"at most {overload.RESIDENT_MIB} MiB",
        f"not {100 * (overload.GROWTH - 1):.0f} % more",
        f"within {overload.RECOVERY_S:.0f} s after",
        f"{received:,} messages, waits",
        f"{fairness.Plan().witnesses} witnesses report every half second",
        f"For {long.minutes:.0f} minutes {long.devices:,} devices send {long.percent:.0f} %",
        f"beside {long.witnesses} witnesses",
        f"grown by {100 * (soak.GROWTH - 1):.0f} % at most",
        f"for {soak.JUDGED_S // 60} minutes or more",
    ):
        assert text in re.sub(r"\s+", " ", DOCUMENT.text), text
    assert (flood.seconds, flood.factor, overload.RECOVERED_AT) == (120, 3, 3)
    assert (flood.interval_s, fairness.Plan().interval_s, long.warm_up_share) == (0.5, 0.5, 0.2)
