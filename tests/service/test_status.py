"""One retained message tells what the broker remembers."""

from __future__ import annotations

import pytest

from bridge import __version__
from bridge.service.status import EVERYTHING, Status, decode_status, new_status, remembered_through

CLOCK = 5000
LAST_SINCE = 1000


def status(*, online: bool, since: int = LAST_SINCE, through: int = 2000) -> Status:
    """A status of this store."""
    return Status(online, __version__, "ours", since, through)


@pytest.mark.parametrize(
    ("found", "remembered"),
    [
        (None, EVERYTHING),
        (Status(False, "1", "another store", LAST_SINCE, 2000), EVERYTHING),
        (status(online=True, through=CLOCK + 1), EVERYTHING),
        (status(online=False), None),
        (status(online=True), 2000),
        (status(online=False, since=500, through=900), 900),
        (new_status("ours", 4000).offline(), EVERYTHING),
    ],
    ids=[
        "nothing is retained",
        "another store's",
        "the clock was set back since",
        "our last word",
        "a heartbeat: what came after it may be lost",
        "an older word, out of a snapshot",
        "the will of a connection that had not published everything again",
    ],
)
def test_what_the_broker_remembers(found: Status | None, remembered: int | None) -> None:
    """From which time on the retained topics have to be published again."""
    assert remembered_through(found, "ours", LAST_SINCE, CLOCK) == remembered


def test_a_status_is_read_back_as_it_was_written() -> None:
    """Also the last will made from it."""
    online = new_status("ours", 1).through(3)
    assert decode_status(online.encode()) == online
    assert decode_status(online.offline().encode()) == Status(False, __version__, "ours", 1, 3)
    assert online.publication("sync/$bridge/status").retain


def test_a_store_that_is_away_is_said_while_the_bridge_is_there() -> None:
    """Not in its last word, and not where all is well."""
    away = new_status("ours", 1).with_store(is_available=False)
    assert b'"store":"unavailable"' in away.encode()
    assert decode_status(away.encode()) == away
    assert b"store" not in away.offline().encode()
    assert b"store" not in away.with_store(is_available=True).encode()


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"offline", b'{"online":1}', b"\xff"])
def test_what_is_no_status_counts_as_nothing(payload: bytes) -> None:
    """Whoever wrote it."""
    assert decode_status(payload) is None
