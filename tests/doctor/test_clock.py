"""What is known of clocks: by what a broker or a bridge tells, and not otherwise."""

from __future__ import annotations

import json
import time

import pytest

from bridge.doctor import Severity
from bridge.doctor.checks.clock import judge
from bridge.doctor.probe import Arrived, Outgoing, Probe
from tests.doctor.conftest import FEW, findings, target
from tests.support.mosquitto import Mosquitto

STATUS = "sync/$bridge/status"
NOW_S = 1_795_389_195.0
_HOUR_US = 3_600_000_000


def _status(**times: object) -> bytes:
    return json.dumps({"online": True, **times}).encode()


def test_a_bridge_that_is_ahead_of_this_machine_is_found(mosquitto: Mosquitto) -> None:
    """Its status lies in the future: by how much at least."""
    examined = target(mosquitto.port)
    since = int(time.time() * 1_000_000) + _HOUR_US
    with Probe(examined, examined.login, client_id="x", version=5) as bridge:
        bridge.publish(Outgoing(STATUS, _status(since=since, published_through=0), retain=True))
    clock = findings(examined, FEW)["clock"]
    assert clock.severity is Severity.WARNING
    assert "the bridge's clock is at least 3" in clock.message
    assert "chrony" in clock.mosquitto


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        ("2026-11-22T23:13:15+00:00", Severity.OK),
        ("2026-11-22T23:12:15+00:00", Severity.OK),
        ("2026-11-22T23:03:15+00:00", Severity.WARNING),
        ("2026-11-23T00:13:15.5+01:00", Severity.OK),
        ("2026-11-22T23:14:15+00:00", Severity.WARNING),
    ],
)
def test_the_time_that_a_broker_tells_is_compared(told: str, severity: Severity) -> None:
    """It may be a minute old where it is retained, and never from the future."""
    found = judge(Arrived("$SYS/brokers/a/datetime", told.encode(), True), STATUS, NOW_S)
    assert found is not None
    assert found.severity is severity


@pytest.mark.parametrize(
    "message",
    [
        Arrived("$SYS/brokers/a/datetime", b"noon", True),
        Arrived("$SYS/brokers/a/datetime", b"\xff", True),
        Arrived(STATUS, _status(since=int(NOW_S * 1_000_000) - 7 * _HOUR_US), True),
        Arrived(STATUS, _status(since="x", published_through=None), True),
        Arrived(STATUS, b"[]", True),
        Arrived(STATUS, b"not JSON", True),
    ],
)
def test_what_tells_no_difference_is_passed_over(message: Arrived) -> None:
    """A status of the past says nothing: it stands until the next connection."""
    assert judge(message, STATUS, NOW_S) is None
