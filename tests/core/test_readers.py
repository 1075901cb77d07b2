"""The list of readers: which entry counts, and what is refused."""

from __future__ import annotations

import pytest

from bridge.core.readers import NO_READERS, READERS_MAX, Readers, ReadersError
from bridge.core.topics import TwinKey


def test_the_first_entry_that_matches_counts() -> None:
    """In the order of the list, however specific; named twins match as elsewhere."""
    readers = Readers.parse(
        [
            {"devices": "lamp-1/inside", "group": "cellar"},
            {"devices": "lamp-1*", "group": "hall"},
            {"devices": "lamp-*", "group": "house"},
        ]
    )
    assert readers.groups == {"cellar", "hall", "house"}
    assert readers.group_of(TwinKey("lamp-1")) == "hall"
    assert readers.group_of(TwinKey("lamp-1", "inside")) == "cellar"
    assert readers.group_of(TwinKey("lamp-12", "inside")) == "hall"
    assert readers.group_of(TwinKey("lamp-2")) == "house"
    assert readers.group_of(TwinKey("plug-1")) is None
    assert NO_READERS.group_of(TwinKey("lamp-1")) is None


@pytest.mark.parametrize(
    ("entry", "index", "word", "reason"),
    [
        ({"devices": "lamp-*"}, 1, "", "it has no group"),
        ({"group": "hall"}, 1, "", "it has no devices"),
        ({"devices": "b", "grop": "hall"}, 1, "grop", "cannot be set"),
        ({"devices": "b+", "group": "hall"}, 1, "devices", "no device id matches it"),
        ({"devices": "b", "group": "the hall"}, 1, "group", "cannot have a key"),
        ({"devices": "a-1", "group": "hall"}, 1, "devices", "stands before it"),
    ],
)
def test_what_is_not_allowed_is_said(
    entry: dict[str, str], index: int, word: str, reason: str
) -> None:
    """With the entry and the word."""
    with pytest.raises(ReadersError, match=reason) as refused:
        Readers.parse([{"devices": "a-*", "group": "hall"}, entry])
    assert (refused.value.index, refused.value.word) == (index, word)


def test_the_list_is_bounded() -> None:
    """As many as may be, and no more."""
    entries = [{"devices": f"lamp-{n}", "group": "hall"} for n in range(READERS_MAX + 1)]
    assert len(Readers.parse(entries[1:]).table) == READERS_MAX
    with pytest.raises(ReadersError, match="more than"):
        Readers.parse(entries)
