"""The throughput benchmark, in a tiny form: it runs, and checks what it measures."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from benchmarks import throughput
from benchmarks.packets import Publish
from benchmarks.watcher import Watcher

TINY = ["--devices", "8", "--updates", "480", "--rounds", "1", "--latency-s", "1"]


def test_both_peers_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every phase of the echo and of the bridge has figures, on paper and as JSON."""
    file = tmp_path / "results.json"
    assert throughput.main([*TINY, "--json", str(file)]) == 0
    results = json.loads(file.read_text())
    assert results["wrong"] == []
    printed = capsys.readouterr().out
    for peer in ("echo", "bridge"):
        assert f"| {peer} |" in printed
        medians = results["medians"][peer]
        assert medians["blast"]["updates_per_s"] > 0
        assert medians["closed_loop"]["updates_per_s"] > 0
        assert medians["latency"]["p99_ms"] >= medians["latency"]["p50_ms"] > 0
    assert results["medians"]["echo"]["blast"]["states_per_update"] == 1


def test_the_bridge_runs_under_the_profiler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It works like any other, and the functions of its main thread are listed."""
    assert throughput.main([*TINY, "--profile"]) == 0
    printed = capsys.readouterr().out
    assert "Thread main:" in printed
    assert "function calls" in printed


@pytest.mark.parametrize("is_twin", [True, False])
async def test_a_state_that_goes_back_is_wrong(*, is_twin: bool) -> None:
    """Of twins and of echoes."""
    watcher = Watcher("sync", is_twin=is_twin)
    for number in (2, 1):
        content: dict[str, object] = {"n": number}
        document = {"version": number, "reported": content} if is_twin else content
        watcher.take(Publish("sync/device-1/state", orjson.dumps(document), False, 0))
    assert any("update 1 came after update 2" in fault for fault in watcher.faults)
