"""New twins are bounded, in number and per device."""

from __future__ import annotations

from bridge.config import LimitsConfig
from bridge.core.topics import TwinKey
from bridge.service.newcomers import MINUTE_US, Newcomers


def test_a_flood_of_new_devices_is_refused_until_the_next_minute() -> None:
    """429, and only the new ones beyond the limit."""
    newcomers = Newcomers(LimitsConfig(new_devices_per_minute=2))
    keys = [TwinKey(f"d{n}") for n in range(3)]
    refused = newcomers.refuse(keys, {}, MINUTE_US * 10)
    assert list(refused) == [keys[2]]
    assert (refused[keys[2]].code, refused[keys[2]].error) == (429, "too_many_new_devices")
    assert newcomers.refuse(keys, {}, MINUTE_US * 10) == refused, "nothing is committed yet"
    newcomers.made(2)
    assert newcomers.refuse([keys[2]], {}, MINUTE_US * 10 + 1)
    assert not newcomers.refuse([keys[2]], {}, MINUTE_US * 11)


def test_a_clock_that_is_set_back_begins_a_new_minute() -> None:
    """It does not close the door for the time that it was ahead."""
    newcomers = Newcomers(LimitsConfig(new_devices_per_minute=1))
    assert not newcomers.refuse([TwinKey("a")], {}, MINUTE_US * 100)
    newcomers.made(1)
    assert not newcomers.refuse([TwinKey("b")], {}, MINUTE_US * 50)


def test_a_device_has_so_many_names_and_no_more() -> None:
    """The unnamed twin does not count."""
    newcomers = Newcomers(LimitsConfig(named_twins=2))
    keys = [TwinKey("d", name) for name in ("", "one", "two")]
    refused = newcomers.refuse(keys, {"d": ["zero"]}, 0)
    assert {key: refusal.error for key, refusal in refused.items()} == {keys[2]: "too_many_names"}
