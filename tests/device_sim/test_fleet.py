"""A fleet on a real broker, with a bridge that can be told to do wrong."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from bridge.device import JsonObject
from bridge.errors import ConnectRefused, NotAnswered
from device_sim import Broker, Fleet, FleetOptions, Phase, Summary
from device_sim.document import same
from device_sim.observer import Observer
from device_sim.payload import decode
from device_sim.plan import PlannedReport, fleet_of, timeline
from tests.device_sim.recorder import Recorder
from tests.device_sim.responder import Responder
from tests.device_sim.waiting import PATIENCE_S, wait_until
from tests.support import mosquitto as mosquitto_module
from tests.support.mosquitto import Mosquitto, free_port


def _options(broker: Mosquitto, **changed: Any) -> FleetOptions:
    values: dict[str, Any] = {
        "broker": Broker(port=broker.port),
        "devices": 10,
        "rate_hz": 10.0,
        "desired_rate_hz": 20.0,
        "duration_s": 1.0,
        "seed": 7,
        "converge_s": PATIENCE_S,
        "find_s": PATIENCE_S,
    }
    return FleetOptions(**(values | changed))


async def _run_until_the_rest_is_settled(fleet: Fleet, *stuck: str) -> Summary:
    """Run a fleet in which some devices never settle, and stop it when the others have."""
    running = asyncio.create_task(fleet.run())
    rest = [device for name, device in fleet.devices.items() if name not in stuck]

    def rest_is_settled() -> bool:
        return fleet.phase is Phase.CONVERGING and all(
            not device.unanswered and same(device.believed, fleet.twins[device.id].reported)
            for device in rest
        )

    await wait_until(rest_is_settled)
    fleet.stop()
    fleet.stop()
    return await running


async def test_every_twin_ends_as_its_device_believes(mosquitto: Mosquitto) -> None:
    """All reports are answered, all desired changes obeyed, and latencies were measured."""
    with Responder(mosquitto.port):
        summary = await Fleet(_options(mosquitto)).run()
    assert summary.ok
    assert not summary.interrupted
    assert summary.devices == summary.twins_equal == 10
    assert summary.sent == summary.acknowledged > 50
    assert summary.desired_sent == summary.desired_acknowledged == summary.desired_converged > 5
    assert summary.versions >= summary.sent
    assert summary.latency_count > 50
    assert summary.latency_p50_ms is not None
    assert summary.latency_p99_ms is not None
    assert 0 < summary.latency_p50_ms <= summary.latency_p99_ms


async def test_msgpack_is_spoken_as_well(mosquitto: Mosquitto) -> None:
    """Nothing else changes."""
    with Responder(mosquitto.port), Recorder(mosquitto.port, "sync/+/report") as recorder:
        summary = await Fleet(_options(mosquitto, encoding="msgpack", duration_s=0.3)).run()
    assert summary.ok
    assert all(payload[:1] != b"{" for _, payload, _ in recorder.messages)


async def _reports_of(broker: Mosquitto, options: FleetOptions) -> dict[str, list[bytes]]:
    """Run a fleet against an empty bridge; returns what each device has published."""
    with Responder(broker.port), Recorder(broker.port, "sync/+/report") as recorder:
        summary = await Fleet(options).run()
        await wait_until(lambda: len(recorder.messages) >= summary.sent)
    assert summary.ok
    sent: dict[str, list[bytes]] = defaultdict(list)
    for topic, payload, _ in recorder.messages:
        sent[topic].append(payload)
    return sent


async def test_the_same_seed_sends_the_same_bytes(tmp_path: Path) -> None:
    """On two empty brokers every device publishes the same payloads in the same order."""
    runs = []
    for name in ("one", "two"):
        with Mosquitto(tmp_path / name) as broker:
            options = _options(broker, desired_rate_hz=0.0, rate_hz=5.0, ramp_hz=50.0)
            runs.append(await _reports_of(broker, options))
    assert runs[0] == runs[1]
    assert sum(map(len, runs[0].values())) > 30


async def test_a_device_sends_what_was_planned_for_it(mosquitto: Mosquitto) -> None:
    """The plan that `--dry-run` prints is what goes over the wire."""
    options = _options(mosquitto, desired_rate_hz=0.0, rate_hz=5.0)
    planned: dict[str, list[JsonObject]] = defaultdict(list)
    for step in timeline(fleet_of(10, options.kinds), options):
        assert isinstance(step, PlannedReport)
        planned[f"sync/{step.device}/report"].append(step.patch)
    sent = {
        topic: [
            {key: value for key, value in (decode(payload) or {}).items() if key != "$"}
            for payload in payloads
        ]
        for topic, payloads in (await _reports_of(mosquitto, options)).items()
    }
    assert sent == planned


async def test_a_twin_that_differs_is_named_with_path_and_values(mosquitto: Mosquitto) -> None:
    """A bridge that publishes an integer where a float was reported is caught."""

    def tamper(device: str, reported: JsonObject) -> JsonObject:
        climate = reported.get("climate")
        if device != "thermostat-0002" or not isinstance(climate, dict):
            return reported
        return reported | {"climate": climate | {"temperature_c": 1}}

    with Responder(mosquitto.port, tamper=tamper):
        fleet = Fleet(_options(mosquitto, desired_rate_hz=0.0, duration_s=0.2))
        summary = await _run_until_the_rest_is_settled(fleet, "thermostat-0002")
    assert not summary.ok
    assert summary.twins_equal == 9
    (difference,) = summary.differences
    assert difference[:3] == ("thermostat-0002", "reported", "climate.temperature_c")
    assert isinstance(difference.expected, float)
    assert difference.actual == 1


async def test_a_report_without_an_answer_fails_the_run(mosquitto: Mosquitto) -> None:
    """And the twin that is missing for it is a difference."""
    with Responder(mosquitto.port, deaf_to=frozenset({"lamp-0001"})):
        fleet = Fleet(_options(mosquitto, desired_rate_hz=0.0, duration_s=0.2))
        summary = await _run_until_the_rest_is_settled(fleet, "lamp-0001")
    assert not summary.ok
    assert summary.unanswered > 0
    assert {each.device for each in summary.differences} == {"lamp-0001"}


async def test_a_delta_that_is_not_obeyed_is_a_difference(mosquitto: Mosquitto) -> None:
    """Someone desires what the device never hears of, since there is no delta."""
    fleet = Fleet(_options(mosquitto, desired_rate_hz=0.0, rate_hz=0.0, converge_s=2.0))
    with Responder(mosquitto.port) as responder:
        responder.publish_deltas = False
        running = asyncio.create_task(fleet.run())
        with Recorder(mosquitto.port, "nothing") as application:
            await wait_until(lambda: fleet.phase is Phase.RUNNING)
            application.publish("sync/lamp-0001/desire/app", b'{"brightness_pct":1000,"effect":5}')
            application.publish("sync/door-lock-0001/desire/app", b'{"auto_lock":{"after_s":7}}')
        summary = await running
    assert [tuple(each) for each in summary.differences] == [
        ("door-lock-0001", "desired", "auto_lock.after_s", 7, 120)
    ]
    assert not summary.ok


async def test_a_change_that_is_not_obeyed_has_not_converged(mosquitto: Mosquitto) -> None:
    """It is acknowledged, and the device never hears of it."""
    with Responder(mosquitto.port) as responder:
        responder.publish_deltas = False
        summary = await Fleet(_options(mosquitto, rate_hz=0.0, converge_s=2.0)).run()
    assert summary.desired_acknowledged == summary.desired_sent
    assert summary.desired_converged < summary.desired_sent
    assert {each.section for each in summary.differences} == {"desired"}


async def test_states_that_the_observer_has_missed_are_fetched(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscription at QoS 0 may lose any message; here it loses each that is not a repeat."""
    arrived: set[tuple[str, bytes]] = set()
    received = Observer._received

    def lossy(observer: Observer, topic: str, payload: bytes) -> None:
        if (topic, payload) in arrived:
            received(observer, topic, payload)
        arrived.add((topic, payload))

    monkeypatch.setattr(Observer, "_received", lossy)
    with Responder(mosquitto.port):
        summary = await Fleet(_options(mosquitto, duration_s=0.2)).run()
    assert summary.ok, summary.differences


async def test_a_fleet_that_is_turned_away_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart the broker wants a login: that does not end by itself."""
    open_broker = Mosquitto(tmp_path / "open")
    monkeypatch.setattr(mosquitto_module, "free_port", lambda: open_broker.port)
    closed_broker = Mosquitto(tmp_path / "closed", extra="allow_anonymous false")
    with open_broker, Responder(open_broker.port):
        running = asyncio.create_task(Fleet(_options(open_broker, duration_s=None)).run())
        with Recorder(open_broker.port, "sync/lamp-0001/state") as recorder:
            await wait_until(lambda: bool(recorder.messages))
        open_broker.kill()
        with closed_broker, pytest.raises(ConnectRefused, match="Not authorized"):
            await asyncio.wait_for(running, PATIENCE_S)


async def test_what_goes_on_can_be_watched(mosquitto: Mosquitto) -> None:
    """Devices, twins and progress can be looked at while the fleet runs."""
    fleet = Fleet(_options(mosquitto, duration_s=None))
    assert fleet.progress().phase is Phase.NEW
    with Responder(mosquitto.port):
        running = asyncio.create_task(fleet.run())
        await wait_until(lambda: fleet.progress().acknowledged > 20)
        progress = fleet.progress()
        assert (progress.phase, progress.total_s) == (Phase.RUNNING, None)
        assert progress.devices == progress.online == 10
        lamp = fleet.devices["lamp-0001"]
        assert (lamp.id, lamp.kind.name, lamp.online) == ("lamp-0001", "lamp", True)
        assert "brightness_pct" in lamp.believed
        await wait_until(lambda: fleet.twins["lamp-0001"].version > 0)
        fleet.stop()
        summary = await running
    assert summary.ok
    assert summary.interrupted
    assert fleet.progress().phase is Phase.ENDED
    assert fleet.progress().online == 0


async def test_devices_say_goodbye_at_the_end(mosquitto: Mosquitto) -> None:
    """Their presence is offline, and no last will was needed."""
    with (
        Responder(mosquitto.port),
        Recorder(mosquitto.port, "sync/lamp-0001/presence") as recorder,
    ):
        await Fleet(_options(mosquitto, duration_s=0.1, devices=2)).run()
        await wait_until(lambda: len(recorder.messages) == 2)
    assert [json.loads(payload)["online"] for _, payload, _ in recorder.messages] == [True, False]


async def test_a_second_stop_ends_the_convergence(mosquitto: Mosquitto) -> None:
    """What is not right by then is reported as it is."""
    fleet = Fleet(_options(mosquitto, duration_s=None))
    with Responder(mosquitto.port, deaf_to=frozenset({"lamp-0001"})):
        running = asyncio.create_task(fleet.run())
        await wait_until(lambda: fleet.devices["lamp-0001"].counts.sent > 0)
        fleet.stop()
        await wait_until(lambda: fleet.phase is Phase.CONVERGING)
        fleet.stop()
        summary = await asyncio.wait_for(running, PATIENCE_S / 2)
    assert summary.unanswered > 0


async def test_a_run_may_be_stopped_before_a_bridge_was_found(mosquitto: Mosquitto) -> None:
    """There is nothing to sum up, and that is said."""
    fleet = Fleet(_options(mosquitto))
    running = asyncio.create_task(fleet.run())
    await wait_until(lambda: fleet.phase is Phase.FINDING)
    fleet.stop()
    summary = await asyncio.wait_for(running, PATIENCE_S / 2)
    assert (summary.devices, summary.interrupted) == (0, True)


async def test_without_a_bridge_the_run_does_not_begin(mosquitto: Mosquitto) -> None:
    """The error says below which prefix nobody answers."""
    with pytest.raises(NotAnswered, match="below elsewhere/"):
        await Fleet(_options(mosquitto, prefix="elsewhere", find_s=0.3)).run()


async def test_without_a_broker_the_run_does_not_begin() -> None:
    """The error says where there is none."""
    with pytest.raises(ConnectRefused, match="no broker"):
        await Fleet(FleetOptions(broker=Broker(port=free_port()))).run()
