"""What a report shows of its device."""

from __future__ import annotations

import pytest

from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Boot, Delivery, Metadata, Update
from bridge.service.attention import is_live

LAMP = TwinKey("lamp-1")


def report(boot: Boot | None, *, retained: bool = False) -> Update:
    """A report of a boot."""
    delivery = Delivery(1, retained=retained)
    return Update(LAMP, "reported", "lamp-1", {}, Metadata(boot=boot, seq=1), b"{}", delivery)


@pytest.mark.parametrize(
    ("boot", "shows"), [(None, True), ("new", True), ("newest", True), ("older", False)]
)
def test_a_report_shows_that_its_device_is_there_unless_it_is_an_old_one(
    boot: str | None, shows: bool
) -> None:
    """What a boot has left behind that is over tells nothing, nor does what the broker kept."""
    device = Twin(LAMP)
    device.boots = ["older", "newest"]
    assert is_live(report(boot), device) is shows
    assert not is_live(report(boot, retained=True), device)
