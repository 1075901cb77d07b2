"""Which retained topics belong to no twin, asked of whoever holds the store."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.api import AdminClient
from bridge.api.orphans import BELOW_TWIN, RetainedTopic, find_orphans
from bridge.api.retained import TOPICS_MAX
from bridge.core.orders import Deletion
from bridge.core.topics import TwinKey
from bridge.core.update import Presence
from bridge.errors import AdminError, AdminRefused
from tests.api.held import Holder
from tests.api.orders import LAMP, report

GONE, WAITING, NOBODY = TwinKey("gone"), TwinKey("waiting"), TwinKey("nobody")
AWAY = TwinKey("away")


@pytest.fixture(autouse=True)
def twins(held: Holder) -> None:
    """One that exists, one that was deleted, and two devices that only said whether they are on."""
    held.change(LAMP, report({"on": True}))
    held.change(GONE, report({"on": True}, key=GONE))
    held.change(GONE, Deletion("app-1"))
    held.change(WAITING, Presence(True))
    held.change(AWAY, Presence(False))


def _found(client: AdminClient, *topics: RetainedTopic) -> list[tuple[str, str, str]]:
    rows: Any = client.orphans(topics)["orphans"]
    return [(row["device"], row["below"], row["reason"]) for row in rows]


def test_all_of_a_deleted_and_an_unknown_twin_is_found(client: AdminClient) -> None:
    """And nothing of one that exists."""
    below = ("state", "delta", "presence")
    topics = [RetainedTopic(key, each) for key in (LAMP, GONE, NOBODY) for each in below]
    assert _found(client, *topics) == [
        *(("gone", each, "deleted") for each in below),
        *(("nobody", each, "unknown") for each in below),
    ]


def test_what_no_encoding_publishes_is_found_also_of_a_twin_that_exists(
    client: AdminClient, held: Holder
) -> None:
    """With JSON alone; where both are published, it is the twin's."""
    topic = RetainedTopic(LAMP, "state/msgpack")
    assert _found(client, topic) == [("lamp-1", "state/msgpack", "encoding")]
    assert find_orphans(held.store, [topic], "both") == []
    assert find_orphans(held.store, [RetainedTopic(GONE, "delta/msgpack")], "both")


def test_the_presence_of_a_device_that_is_online_is_no_orphan(client: AdminClient) -> None:
    """Though it has not reported yet; that of one that is offline is."""
    presences = [RetainedTopic(key, "presence") for key in (WAITING, AWAY)]
    assert _found(client, *presences) == [("away", "presence", "unknown")]
    assert _found(client, RetainedTopic(WAITING, "state")) == [("waiting", "state", "unknown")]


def test_a_named_twin_is_another_one(client: AdminClient) -> None:
    """Than the unnamed one of its device."""
    named = RetainedTopic(TwinKey("lamp-1", "net"), "state")
    assert _found(client, named) == [("lamp-1", "state", "unknown")]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"topics": "x"},
        {"topics": [], "clear": 1},
        {"topics": ["sync/lamp-1/state"]},
        {"topics": [{"device": "$bridge", "below": "state"}]},
        {"topics": [{"device": "a", "name": "state", "below": "state"}]},
        {"topics": [{"device": "a", "below": "report"}]},
        {"topics": [{"device": "a", "name": "b", "below": "presence"}]},
        {"topics": [{"device": "a", "below": "state"}] * (TOPICS_MAX + 1)},
    ],
)
def test_what_is_no_retained_topic_is_refused(client: AdminClient, wrong: dict[str, Any]) -> None:
    """The bridge clears nothing else, whatever it is asked."""
    with pytest.raises(AdminRefused) as refused:
        client._ask("POST", "/v1/retained/orphans", wrong)
    assert refused.value.status == 400


def test_a_page_of_the_longest_names_fits(client: AdminClient) -> None:
    """Into the body of a request."""
    longest = RetainedTopic(TwinKey("d" * 128, "n" * 128), max(BELOW_TWIN, key=len))
    assert len(_found(client, *[longest] * TOPICS_MAX)) == TOPICS_MAX


def test_without_a_bridge_nothing_is_cleared(held: Holder) -> None:
    """There is no broker; the command does it then."""
    from bridge.api import offline_client
    from bridge.core.reconcile import Outcome

    def apply(*_: object) -> Outcome:
        raise AssertionError

    with offline_client(held.store, held.store.path, apply) as client:
        assert _found(client, RetainedTopic(NOBODY, "state"))
        with pytest.raises((AdminError, AdminRefused), match="no bridge runs"):
            client.orphans([RetainedTopic(NOBODY, "state")], clear=True)
