"""What a twin's retained topics should hold, as the store tells it."""

from __future__ import annotations

import pytest

from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.service.unpublished import publication_of
from bridge.store.base import StoredTwin
from bridge.store.codec import encode_internals

DAMAGED = b"\xc1 is no msgpack"

LAMP = TwinKey("lamp-1")


@pytest.mark.parametrize(
    ("exists", "online", "cleared"),
    [
        (False, True, False),
        (False, False, True),
        (False, None, True),
        (True, False, False),
        (True, None, False),
    ],
)
def test_presence_is_cleared_of_devices_that_are_neither_there_nor_have_a_twin(
    exists: bool, online: bool | None, cleared: bool
) -> None:
    """A device may be there whose twin was deleted."""
    twin = Twin(LAMP)
    twin.online = online
    state = b"{}" if exists else b""
    row = StoredTwin(LAMP, 2, 2, 0, exists, 0, state, None, encode_internals(twin))
    assert publication_of(row).clear_presence is cleared


def test_a_deleted_twin_that_is_damaged_keeps_its_presence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is said, and does not end what is done for all others."""
    row = StoredTwin(LAMP, 2, 2, 0, False, 0, b"", None, DAMAGED)
    published = publication_of(row)
    assert (published.state, published.clear_presence) == (b"", False)
    assert "a deleted twin cannot be read" in capsys.readouterr().err
