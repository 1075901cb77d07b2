"""Keys that look alike: names are ASCII, and fields stay the fields that they are."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from bridge.cli.text import printable
from bridge.core.topics import is_device_id, is_name
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

_COMPOSED = "caf\u00e9"
_DECOMPOSED = unicodedata.normalize("NFD", _COMPOSED)
_CYRILLIC = "\u0441af\u00e9"
_JOINED = "caf\u00e9\u200b"


async def test_keys_that_look_alike_are_different_keys(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Composed, decomposed, of another script, with what cannot be seen."""
    keys = (_COMPOSED, _DECOMPOSED, _CYRILLIC, _JOINED)
    async with (
        running_bridge(make_config(mosquitto, tmp_path)),
        connected_client(mosquitto, "sync/lamp-1/state") as client,
    ):
        for number, key in enumerate(keys):
            await client.publish("sync/lamp-1/report", {key: number})
        state = await client.until_version("sync/lamp-1/state", len(keys))
        assert state["reported"] == {key: number for number, key in enumerate(keys)}
        await client.publish("sync/lamp-1/report", {_DECOMPOSED: None})
        state = await client.until_version("sync/lamp-1/state", len(keys) + 1)
        assert list(state["reported"]) == [_COMPOSED, _CYRILLIC, _JOINED]


@pytest.mark.parametrize("name", ["l\u0430mp-1", "lamp\u20101", "caf\u00e9", "lamp-1\u200b"])
def test_a_name_that_looks_like_another_is_none(name: str) -> None:
    """Devices, twins, writers and logins have names of ASCII only."""
    assert not is_device_id(name)
    assert not is_name(name)


def test_what_cannot_be_seen_in_a_key_is_shown_to_an_operator() -> None:
    """A key with a character of no width, or that turns the direction, cannot pose as another."""
    assert printable(_JOINED) != printable(_COMPOSED)
    assert "\u200b" not in printable(_JOINED)
    assert "\u202e" not in printable("a\u202eb")
