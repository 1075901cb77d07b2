"""Faults between simulated devices and a real bridge, through a real broker.

Whatever happens, the twins end as their devices believe: that is what the bridge is for, and that
the faults were injected is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from device_sim import Broker, Fleet, FleetOptions, Summary
from device_sim.faults import parse_fault
from device_sim.kinds import KINDS, Kind
from device_sim.mqtt import MqttVersion
from device_sim.scenarios import Scenario, ScenarioPhase, read_scenario
from device_sim.scenarios.scenario import Power
from device_sim.scenarios.selection import Selection
from tests.device_sim.waiting import PATIENCE_S, wait_until
from tests.support.bridge import make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto

Run = Callable[..., Fleet]


@pytest.fixture
async def fleet(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Run]:
    """Makes fleets on a bridge that runs."""

    def make(*faults: str, **changed: Any) -> Fleet:
        values: dict[str, Any] = {
            "broker": Broker(port=mosquitto.port),
            "devices": 20,
            "rate_hz": 5.0,
            "desired_rate_hz": 10.0,
            "duration_s": 2.0,
            "seed": 7,
            "converge_s": PATIENCE_S,
            "find_s": PATIENCE_S,
            "faults": tuple(map(parse_fault, faults)),
            "protocol": "5",
        }
        return Fleet(FleetOptions(**(values | changed)))

    async with running_bridge(make_config(mosquitto, tmp_path)):
        yield make


def _assert_converged(summary: Summary) -> None:
    assert summary.ok, (summary.differences[:5], summary)
    assert summary.acknowledged + summary.forgotten == summary.sent > 50


async def test_messages_may_be_lost_cut_doubled_late_and_out_of_order(fleet: Run) -> None:
    """All at once, and across reconnects."""
    summary = await fleet(
        "loss=5%",
        "cut=5%",
        "duplicate=10%,by=500ms",
        "delay=10%,by=500ms",
        "reorder=10%,by=1s",
        "reconnect,every=3s,for=200ms",
    ).run()
    assert summary.ok, summary.differences[:5]
    assert set(summary.faults) == {"loss", "cut", "duplicate", "delay", "reorder", "reconnect"}
    assert summary.repeated > 0
    assert summary.connects > 20


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_connections_may_break_in_every_way(fleet: Run, protocol: MqttVersion) -> None:
    """Half open, without a session, and with one."""
    summary = await fleet(
        "half-open,at=500ms,share=50%,for=1s",
        "reconnect,at=1s,share=50%,for=300ms",
        "reconnect,at=1500ms,for=300ms,session=yes",
        protocol=protocol,
    ).run()
    _assert_converged(summary)
    assert summary.connects >= 40
    assert set(summary.faults) == {"half-open", "reconnect"}


async def test_clocks_may_show_anything(fleet: Run) -> None:
    """Twice, so that the second run meets the stamps of the first."""
    for _ in range(2):
        summary = await fleet(
            "clock-ahead=30%,by=2h",
            "clock-behind=30%,by=2h",
            "clock-drift=30%,by=5h",
            "clock-1970=20%",
            "clock-back,every=1s",
        ).run()
        _assert_converged(summary)
        assert len(summary.faults) == 5


@pytest.mark.parametrize("fault", ["restart", "forget-boot", "reflash"])
async def test_devices_may_restart(fleet: Run, fault: str) -> None:
    """With a new boot, with an old one again, and as they left the factory.

    Meters, because they never say the very same again: a boot that comes twice with the same
    message 1 is taken for a repeat, and its further messages are too.
    """
    summary = await fleet(
        f"{fault},at=700ms+1500ms,spread=300ms,for=200ms",
        devices=10,
        kinds=(KINDS["energy-meter"],),
    ).run()
    assert summary.ok, (summary.differences[:5], summary)
    assert 10 <= summary.faults[fault] <= 20
    assert summary.connects >= 20


async def test_two_devices_with_one_id_are_nobodys_twin(fleet: Run) -> None:
    """They throw each other out; what the twin shows is not compared, and the others are right."""
    summary = await fleet("same-id=15%").run()
    assert summary.ok, summary.differences[:5]
    rivals = summary.faults["same-id"]
    assert set(summary.excused.values()) == {"two devices have this id"}
    assert len(summary.excused) == rivals >= 1
    assert summary.twins_equal == 20 - rivals
    assert summary.connects > 20 + rivals


async def test_a_chatterbox_does_not_hurt_the_others(fleet: Run) -> None:
    """A thousand messages a second without waiting."""
    summary = await fleet("chatterbox=10%,rate=1000").run()
    _assert_converged(summary)
    assert summary.faults["chatterbox"] > 100


async def test_contrary_devices_leave_their_deltas_outstanding(fleet: Run) -> None:
    """And still their twins are what they believe."""
    run = fleet("contrary", desired_rate_hz=20.0)
    summary = await run.run()
    _assert_converged(summary)
    assert summary.faults["contrary"] > 5
    assert summary.obeyed == 0
    assert summary.desired_converged == 0
    assert any(sample.outstanding for sample in summary.samples)


async def test_devices_behind_gateways_are_like_others(fleet: Run, mosquitto: Mosquitto) -> None:
    """Few connections carry them all; presence is each device's own, also when it vanishes."""
    summary = await fleet(
        "restart,at=1s,for=200ms", "half-open,at=500ms,for=300ms,share=30%", gateways=2
    ).run()
    assert summary.ok, summary.differences[:5]
    async with asyncio.timeout(PATIENCE_S):
        while await _online(mosquitto):
            await asyncio.sleep(0.1)


async def _online(broker: Mosquitto) -> int:
    """Return how many twins say that their device is not offline."""
    states = await retained(broker, "sync/+/state")
    assert len(states) == 20
    return sum(b'"online":false' not in payload for payload in states.values())


async def test_a_district_without_power_vanishes_and_comes_back(fleet: Run, tmp_path: Path) -> None:
    """Its devices boot anew and report everything."""
    file = tmp_path / "dark.yaml"
    file.write_text(
        "about: it goes dark\n"
        "districts: 2\n"
        "phases:\n"
        "  - {name: light, for: 1s}\n"
        "  - {name: dark, for: 1s, power_off: {district: 1}}\n"
        "  - {name: light again, for: 1s, power_on: {district: 1}}\n"
    )
    scenario = read_scenario(file)
    run = fleet(scenario=scenario, duration_s=scenario.duration_s)
    summary = await run.run()
    assert summary.ok, summary.differences[:5]
    dark = summary.connects - 20
    assert 1 <= dark < 20
    assert summary.scenario == "dark"
    assert [sample.phase for sample in summary.samples][-1] == "light again"


async def test_devices_that_stay_dark_are_not_compared(fleet: Run) -> None:
    """Nobody knows what they would believe."""
    phases = (
        ScenarioPhase("light", 0.5),
        ScenarioPhase("dark", 0.5, powers=(Power(Selection(share=0.5), is_on=False),)),
    )
    scenario = Scenario("dark", "it goes dark", 12, ((KINDS["lamp"], 1.0),), 1, 100.0, phases)
    summary = await fleet(scenario=scenario, duration_s=scenario.duration_s).run()
    assert summary.ok, summary.differences[:5]
    assert set(summary.excused.values()) == {"it has no power at the end"}
    assert summary.twins_equal == 20 - len(summary.excused) < 20


async def test_sleepers_wake_up_for_their_deltas(fleet: Run) -> None:
    """A desired change reaches a device that is asleep when it next wakes."""
    sleeper = Kind(
        "sleeper",
        "a lamp that sleeps",
        KINDS["lamp"].fields,
        KINDS["lamp"].messages,
        sleep_after_s=0.3,
    )
    run = fleet(kinds=(sleeper,), devices=5, rate_hz=0.5, duration_s=4.0)
    summary = await run.run()
    assert summary.ok, summary.differences[:5]
    assert summary.connects > 5


async def test_what_goes_on_shows_in_the_progress(fleet: Run) -> None:
    """Faults so far, for the line on the terminal."""
    run = fleet("loss=50%", duration_s=None)
    running = asyncio.create_task(run.run())
    await wait_until(lambda: run.progress().faults > 5)
    run.stop()
    summary = await running
    assert summary.faults["loss"] > 5
