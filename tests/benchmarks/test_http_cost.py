"""The measurement of the HTTP API, in its short form."""

from __future__ import annotations

import pytest

from benchmarks.http_cost import cases, main


def test_every_case_is_measured_beside_the_bare_handler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each has an answer from both, or the measurement would have ended with an error."""
    assert main(["--rounds", "1", "--tenths", "2"]) == 0
    printed = capsys.readouterr().out
    assert all(case.name in printed for case in cases())
