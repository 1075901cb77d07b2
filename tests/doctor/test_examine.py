"""What is true of three brokers is what is found: each is real, and each is tried."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bridge import metrics
from bridge.doctor import Bounds, Finding, Login, Severity, examine
from bridge.doctor.examination import Examination
from bridge.doctor.probe import FOREVER_S, Outgoing, Probe
from bridge.errors import LinkError
from tests.doctor.conftest import (
    DEVICE,
    EMBEDDED,
    EXAMINER,
    FEW,
    MORE_THAN_A_QUEUE,
    findings,
    target,
)
from tests.support.bridge import make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto, free_port


def _severities(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.severity.value for name, finding in found.items()}


def test_a_default_mosquitto_loses_what_it_cannot_queue(default_mosquitto: Mosquitto) -> None:
    """And lets everybody do everything; each with what to change."""
    found = findings(target(default_mosquitto.port), MORE_THAN_A_QUEUE)
    severities = _severities(found)
    # 2.0.11 sends too far ahead; later versions do not.
    assert severities.pop("window_sent") in ("ok", "warning")
    # 2.1 has a limit of its own.
    severities.pop("message_size_limit", None)
    assert severities == {
        "version": "ok",
        "client_ids": "warning",
        "own_topics": "ok",
        "retained": "ok",
        "replay": "critical",
        "session": "ok",
        "queue": "critical",
        "redelivery": "ok",
        "window_taken": "warning",
        "message_size": "ok",
        "shared": "ok",
        "shared_failover": "note",
        "anonymous": "critical",
        "device_rights": "unknown",
        "clock": "unknown",
        "persistence": "unknown",
    }
    assert found["queue"].measured == {"acknowledged": 1500, "kept": 1000}
    assert found["replay"].measured == {"retained": 1500, "replayed": 1020}
    assert found["window_taken"].measured == {"receive_maximum": 20}
    assert found["anonymous"].measured["report"] is True
    for finding in found.values():
        if finding.severity in (Severity.WARNING, Severity.CRITICAL):
            assert finding.mosquitto, finding.check
            assert finding.emqx, finding.check


def test_the_documented_mosquitto_is_sound(hardened_mosquitto: Mosquitto) -> None:
    """With the documented login for this, which has one connection at a time."""
    found = findings(target(hardened_mosquitto.port, EXAMINER, DEVICE))
    severities = _severities(found)
    assert severities.pop("window_sent") in ("ok", "warning")
    assert severities == {
        "version": "ok",
        "client_ids": "ok",
        "own_topics": "ok",
        "retained": "ok",
        "replay": "ok",
        "session": "ok",
        "queue": "ok",
        "redelivery": "ok",
        "window_taken": "ok",
        "message_size": "ok",
        "shared": "ok",
        "anonymous": "ok",
        "own_rights": "note",
        "device_rights": "ok",
        "clock": "unknown",
        "persistence": "unknown",
    }
    assert found["queue"].measured == {"acknowledged": 300, "kept": 300}
    assert found["client_ids"].measured == {"binds_client_ids": True}
    assert found["device_rights"].measured == {"report": False, "delete": False, "$bridge": False}


def test_the_embedded_broker_is_for_trying_things_out(embedded_port: int) -> None:
    """It speaks 3.1.1, forgets what was unacknowledged, and lets everybody do everything."""
    # A question that it leaves without an answer is waited for as long as all others.
    found = findings(replace(target(embedded_port, EMBEDDED), timeout_s=5.0))
    severities = _severities(found)
    if sys.version_info >= (3, 12):
        # There amqtt loses connections now and then, and with them some of what it was given.
        for name in ("retained", "replay", "queue"):
            assert severities.pop(name) in ("ok", "critical")
            severities[name] = "ok"
    assert found["version"].measured == {"version": "3.1.1"}
    assert severities == {
        "version": "warning",
        "client_ids": "warning",
        "own_topics": "ok",
        "retained": "ok",
        "replay": "ok",
        "session": "ok",
        "queue": "ok",
        "redelivery": "critical",
        "window_sent": "note",
        "message_size": "ok",
        "message_size_limit": "warning",
        "shared": "note",
        "anonymous": "critical",
        "own_rights": "note",
        "device_rights": "unknown",
        "clock": "unknown",
        "persistence": "unknown",
    }
    assert found["redelivery"].measured["delivered_again"] == 0
    assert found["shared"].measured == {}
    assert found["anonymous"].measured["report"] is True


async def test_nothing_is_left_behind_and_a_bridge_is_not_disturbed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """No retained message, no session, no twin, and nothing in the quarantine."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        generation = bridge.session
        bounds = replace(FEW, messages=100)
        report = await asyncio.to_thread(examine, target(mosquitto.port), bounds, 0)
        assert {each.check for each in report.findings} >= {"queue", "replay", "anonymous"}
        assert set(await retained(mosquitto, "#")) == {"sync/$bridge/status"}
        assert await bridge.run_store(lambda store: store.count_twins()) == 0
        assert bridge.counters.value(metrics.QUARANTINED) == 0
        assert bridge.session == generation


def test_what_was_made_is_cleared_also_where_it_is_broken_off(mosquitto: Mosquitto) -> None:
    """As by Ctrl-C between two checks: sessions and retained messages."""
    seen: list[str] = []

    def interrupt(finding: Finding) -> None:
        seen.append(finding.check)
        if finding.check == "replay":
            raise KeyboardInterrupt

    examined = target(mosquitto.port)
    with pytest.raises(KeyboardInterrupt):
        examine(examined, replace(FEW, messages=100), 0, interrupt)
    assert seen[-1] == "replay"
    assert set(asyncio.run(retained(mosquitto, "#"))) == set()


def test_the_session_of_another_is_left_as_it_is(hardened_mosquitto: Mosquitto) -> None:
    """Where the broker takes the user for the client id: what waits in it still waits."""
    examined = target(hardened_mosquitto.port, EXAMINER)
    topic = "sync/$bridge/doctor/of-another"
    with Probe(
        examined,
        EXAMINER,
        client_id="x",
        version=5,
        keep_session=True,
        expiry_s=FOREVER_S,
        acknowledge=0,
    ) as other:
        other.subscribe(topic)
        other.publish(Outgoing(topic, b"waits"))
    found = findings(examined)
    assert list(found) == ["version", "session_of_another"]
    assert found["session_of_another"].severity is Severity.CRITICAL
    with Probe(examined, EXAMINER, client_id="x", version=5, keep_session=True) as other:
        assert other.granted.session_present
        other.settle(deadline=float("inf"))
        assert [message.payload for message in other.arrived] == [b"waits"]


def test_a_login_without_rights_is_told_what_it_lacks(hardened_mosquitto: Mosquitto) -> None:
    """What the broker keeps cannot be tried then, and nothing is guessed."""
    found = findings(target(hardened_mosquitto.port, Login("lamp-2", DEVICE.password)))
    assert found["own_topics"].severity is Severity.UNKNOWN
    assert "topic readwrite sync/$bridge/doctor/#" in found["own_topics"].mosquitto
    assert "queue" not in found


@pytest.mark.parametrize(
    ("setting", "check", "figures"),
    [
        ("max_packet_size 100000", "message_size", {"payload_bytes": 65536}),
        ("retain_available false", "retained", {"kept": 0}),
    ],
)
def test_a_limit_of_the_broker_is_found(
    tmp_path: Path, setting: str, check: str, figures: dict[str, int]
) -> None:
    """By what passes, not by what is configured."""
    with Mosquitto(tmp_path, extra=setting) as broker:
        found = findings(target(broker.port))
    assert found[check].severity is Severity.CRITICAL
    assert found[check].measured.items() >= figures.items()


def test_a_wrong_password_is_an_error_and_no_finding(hardened_mosquitto: Mosquitto) -> None:
    """There is nothing to be said about a broker that does not let one in."""
    with pytest.raises(LinkError, match="refused"):
        examine(target(hardened_mosquitto.port, Login("doctor", "wrong")), FEW, 0)


def test_a_device_that_is_not_let_in_is_not_said_to_be_harmless(
    hardened_mosquitto: Mosquitto,
) -> None:
    """What it may do was not tried."""
    device = Login("lamp-1", "wrong")
    found = findings(target(hardened_mosquitto.port, EXAMINER, device))
    assert "device_rights" not in found
    assert found["rights"].severity is Severity.UNKNOWN
    assert "refused the connection" in found["rights"].message


def test_a_device_that_may_write_for_another_is_found(tmp_path: Path) -> None:
    """With a list that binds the level to nobody."""
    acl = "topic readwrite sync/+/report\nuser doctor\ntopic readwrite sync/$bridge/doctor/#\n"
    acl += "user lamp-1\ntopic readwrite sync/+/report\n"
    users = {"doctor": "secret", "lamp-1": "secret"}
    with Mosquitto(tmp_path, users=users, acl=acl) as broker:
        examiner, device = (Login(name, "secret") for name in users)
        found = findings(target(broker.port, examiner, device), replace(FEW, messages=100))
    assert found["device_rights"].severity is Severity.CRITICAL
    assert found["device_rights"].measured == {"report": True, "delete": False, "$bridge": False}
    assert "pattern write sync/%u/report" in found["device_rights"].mosquitto
    assert "${username}" in found["device_rights"].emqx


def test_no_broker_is_an_error() -> None:
    """It says where none answers."""
    port = free_port()
    with pytest.raises(LinkError, match=str(port)):
        examine(target(port), FEW, 0)


def test_when_the_time_is_over_the_rest_is_said_to_be_untried(mosquitto: Mosquitto) -> None:
    """Nothing is guessed of it."""
    found = findings(target(mosquitto.port), Bounds(messages=100, duration_s=0.001))
    for check in ("retained", "queue", "anonymous"):
        assert found[check].severity is Severity.UNKNOWN
        assert "not tried" in found[check].message


@pytest.mark.parametrize("wrong", [{"messages": 1}, {"messages": 10**6}, {"duration_s": 0}])
def test_bounds_have_a_range(wrong: dict[str, int]) -> None:
    """A typo does not fill a broker."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Bounds(**wrong)


def test_client_ids_are_short_and_its_own(mosquitto: Mosquitto) -> None:
    """23 characters are what each broker must take (MQTT 3.1.1 section 3.1.3.1)."""
    one, other = (Examination(target(mosquitto.port), FEW) for _ in range(2))
    assert len(one.client_id("four")) <= 23
    assert one.client_id("four") != other.client_id("four")
