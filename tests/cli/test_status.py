"""Exit statuses."""

from __future__ import annotations

import pytest

from bridge import errors
from bridge.cli.status import ExitStatus, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigError("x"), ExitStatus.USAGE),
        (errors.ConnectRefused("x"), ExitStatus.UNAVAILABLE),
        (errors.LinkLost("x"), ExitStatus.UNAVAILABLE),
        (errors.NotAnswered("x"), ExitStatus.UNAVAILABLE),
        (errors.Refused(409, "version_mismatch", "x"), ExitStatus.REFUSED),
        (errors.Refused(404, "no_such_twin", "x"), ExitStatus.NOT_FOUND),
        (errors.Refused(503, "not_ready", "x"), ExitStatus.UNAVAILABLE),
        (errors.AdminRefused(404, "x"), ExitStatus.NOT_FOUND),
        (errors.AdminRefused(410, "x"), ExitStatus.NOT_FOUND),
        (errors.AdminRefused(503, "x"), ExitStatus.UNAVAILABLE),
        (errors.AdminRefused(409, "x"), ExitStatus.FAILURE),
        (errors.StoreLocked("x"), ExitStatus.FAILURE),
        (errors.SyncbridgeError("x"), ExitStatus.FAILURE),
    ],
)
def test_each_error_has_its_status(error: errors.SyncbridgeError, status: ExitStatus) -> None:
    """A script can tell them apart without reading."""
    assert status_of(error) is status


def test_the_statuses_are_stable() -> None:
    """They are a contract, with their numbers."""
    assert {status.name: status.value for status in ExitStatus} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 2,
        "UNAVAILABLE": 3,
        "REFUSED": 4,
        "NOT_FOUND": 5,
        "INTERRUPTED": 130,
    }
