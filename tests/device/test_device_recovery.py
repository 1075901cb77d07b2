from __future__ import annotations

import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import orjson

from bridge.device import Device
from tests.device import reporting_child
from tests.device.scripted_bridge import IGNORED, PATIENCE_S, ScriptedBridge, ignore_it, take_it
from tests.support.mosquitto import Mosquitto

_ROOT = Path(__file__).parents[2]


def _run_and_kill(
    bridge: ScriptedBridge, port: int, outbox: Path, first: int, *, reports: int, arrived: int
) -> int:
    """Let a device report, and kill it when so many reports were made and have arrived.

    Returns:
        The last number that the device is known to have reported.
    """
    wanted = len(bridge.reports) + arrived
    command = [sys.executable, reporting_child.__file__, str(port), str(outbox), str(first)]
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        env={"PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        last = first
        for _ in range(reports):
            last = int(child.stdout.readline())
        bridge.wait_until(lambda: len(bridge.reports) >= wanted)
        child.kill()
    return last


def test_a_killed_device_goes_on_with_the_same_bytes(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """What was sent comes under the old boot and seq, before anything of the new boot."""
    outbox = tmp_path / "outbox"
    with ScriptedBridge(mosquitto, ignore_it) as bridge:
        _run_and_kill(bridge, mosquitto.port, outbox, 0, reports=20, arrived=2)
        bridge.wait_until(lambda: len(bridge.presences) == 2)
        online, offline = (orjson.loads(presence) for presence in bridge.presences)
        assert offline == {"online": False, "boot": online["boot"]}
        sent = list(dict.fromkeys(bridge.reports))
        bridge.reports.clear()
        bridge.decide = take_it
        with Device("lamp-1", port=mosquitto.port, outbox=outbox) as lamp:
            lamp.report({"number": "new"})
            lamp.flush(PATIENCE_S)
        reports = list(dict.fromkeys(bridge.reports))
        assert len(sent) == 2
        assert reports[: len(sent)] == sent
        boots = [orjson.loads(report)["$"]["boot"] for report in reports]
        assert len(set(boots[: len(sent)])) == 1
        assert boots[0] not in boots[len(sent) :]
        assert orjson.loads(reports[len(sent)])["$"]["seq"] == 1
        reported = bridge.reported["lamp-1"]
        assert isinstance(reported, dict)
        assert reported["number"] == "new"
        assert isinstance(reported["last-4"], int)
        assert reported["last-4"] >= 19
        bridge.reports.clear()
        with Device("lamp-1", port=mosquitto.port, outbox=outbox) as lamp:
            assert lamp.unanswered == 0


def test_nothing_reported_is_lost_however_often_the_device_is_killed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """At random moments, with a bridge that answers now and then; no boot keeps a hole."""
    outbox = tmp_path / "outbox"
    chance = random.Random(7)
    with ScriptedBridge(mosquitto) as bridge:
        bridge.decide = lambda _: None if chance.random() < 0.7 else IGNORED
        last = -1
        for _ in range(6):
            last = _run_and_kill(
                bridge,
                mosquitto.port,
                outbox,
                last + 1,
                reports=chance.randrange(1, 120),
                arrived=chance.randrange(0, 40),
            )
        bridge.decide = take_it
        with Device("lamp-1", port=mosquitto.port, outbox=outbox) as lamp:
            lamp.flush(PATIENCE_S)
        reported = bridge.reported["lamp-1"]
        assert isinstance(reported, dict)
        assert isinstance(reported["number"], int)
        assert reported["number"] >= last
        seqs: dict[str, set[int]] = defaultdict(set)
        for report in bridge.reports:
            metadata = orjson.loads(report)["$"]
            seqs[metadata["boot"]].add(metadata["seq"])
        assert all(known == set(range(1, len(known) + 1)) for known in seqs.values())
