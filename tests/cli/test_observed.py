"""States and deltas as a reader sees them."""

from __future__ import annotations

import json

import msgpack
import pytest

from bridge.cli.observed import Change, Observed, RetainedTopics, Watcher
from bridge.core.topics import TwinKey
from bridge.device.payload import UnreadableError

_TOPICS = RetainedTopics("plant/7")
_STATE = {"version": 3, "at": 1_795_389_192_794_000, "reported": {"on": True}, "desired": {}}


def _state(version: int) -> Observed:
    observed = _TOPICS.read("plant/7/a/state", json.dumps({**_STATE, "version": version}).encode())
    assert observed is not None
    return observed


def _delta(version: int | None) -> Observed:
    document = {"version": version, "at": 1, "state": {"on": False}}
    payload = b"" if version is None else json.dumps(document).encode()
    observed = _TOPICS.read("plant/7/a/delta", payload)
    assert observed is not None
    return observed


def _take(watcher: Watcher, observed: Observed) -> Change:
    change = watcher.take(observed)
    assert change is not None
    return change


@pytest.mark.parametrize(
    ("devices", "name", "filters"),
    [
        ((), "", ["+/state", "+/delta", "+/+/state", "+/+/delta"]),
        ((), "net", ["+/net/state", "+/net/delta"]),
        (("a",), "", ["a/state", "a/delta", "a/+/state", "a/+/delta"]),
        (("a", "b"), "net", ["a/net/state", "a/net/delta", "b/net/state", "b/net/delta"]),
    ],
)
def test_the_filters_are_those_of_the_twins_asked_for(
    devices: tuple[str, ...], name: str, filters: list[str]
) -> None:
    """Without a name, all twins of a device."""
    assert _TOPICS.filters(devices, name) == [f"plant/7/{each}" for each in filters]


@pytest.mark.parametrize("encode", [json.dumps, msgpack.packb])
def test_a_state_is_read_in_either_encoding(encode: object) -> None:
    """Operators may have the bridge publish msgpack."""
    assert callable(encode)
    payload = encode({**_STATE, "online": True})
    observed = _TOPICS.read(
        "plant/7/a/net/state", payload.encode() if isinstance(payload, str) else payload
    )
    assert observed is not None
    assert observed.key == TwinKey("a", "net")
    assert observed.twin is not None
    assert observed.twin.reported == {"on": True}
    assert observed.twin.online is True
    assert (observed.version, observed.at) == (3, 1_795_389_192_794_000)


@pytest.mark.parametrize(
    "topic",
    ["plant/7/state", "plant/7/a/b/c/state", "plant/7/$bridge/state", "plant/7/a/delta/state"],
)
def test_other_topics_are_passed_over(topic: str) -> None:
    """Wildcards match more than the bridge publishes."""
    assert _TOPICS.read(topic, b"{}") is None


@pytest.mark.parametrize(
    "payload",
    [b"hello", b"[]", b"{}", json.dumps({**_STATE, "at": 10**17}).encode(), b'{"version":true}'],
)
def test_what_no_bridge_has_written_is_said_to_be_unreadable(payload: bytes) -> None:
    """Whoever may publish there can put anything there."""
    with pytest.raises(UnreadableError):
        _TOPICS.read("plant/7/a/state", payload)


def test_versions_only_grow() -> None:
    """Older ones and repeats are dropped, whatever the order of arrival."""
    watcher = Watcher()
    first = _take(watcher, _state(3))
    assert (first.is_first, first.before) == (True, None)
    assert watcher.take(_state(3)) is None
    assert watcher.take(_state(2)) is None
    second = _take(watcher, _state(5))
    assert (second.is_first, second.previous_version) == (False, 3)
    assert second.before == first.observed.twin


def test_states_and_deltas_are_counted_apart() -> None:
    """They have the same versions and come on two topics."""
    watcher = Watcher()
    _take(watcher, _state(3))
    assert _take(watcher, _delta(3)).is_first


def test_a_delta_is_cleared_once() -> None:
    """And not at all where there was none."""
    watcher = Watcher()
    assert watcher.take(_delta(None)) is None
    _take(watcher, _delta(4))
    assert _take(watcher, _delta(None)).previous_version == 4
    assert watcher.take(_delta(None)) is None
    assert _take(watcher, _delta(6)).observed.version == 6


def test_a_deletion_keeps_the_version() -> None:
    """What comes after it is newer; what was on its way before it stays dropped."""
    watcher = Watcher()
    _take(watcher, _state(3))
    cleared = _TOPICS.read("plant/7/a/state", b"")
    assert cleared is not None
    deletion = _take(watcher, cleared)
    assert deletion.before is not None
    assert watcher.take(_state(3)) is None
    assert _take(watcher, _state(5)).before is None
