"""What is remembered of sealed messages: each number once, each boot for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.refusal import Refusal
from bridge.service.sealed_memory import WINDOW_MESSAGES, SealedMemory
from bridge.store.sealed_windows import SealedPlace, SealedWindow

PLACE = SealedPlace("lamp-1", 1, b"p" * 16)
OTHER = SealedPlace("lamp-1", 1, b"q" * 16)


class Kept:
    """A memory, and the store that is behind it."""

    def __init__(self, **bounds: int) -> None:
        self.memory = SealedMemory(**bounds)
        self.rows: dict[SealedPlace, SealedWindow] = {}

    def begin(self, *places: SealedPlace) -> None:
        """Begin a batch."""
        missing = self.memory.missing(places)
        found = {place: self.rows[place] for place in missing if place in self.rows}
        lacking = {(place.device, place.key_id) for place in missing if place not in found}
        counts = {key: sum(row[:2] == key for row in self.rows) for key in lacking}
        self.memory.take_in(missing, found, counts)

    def commit(self) -> None:
        """End it on the disk."""
        self.rows.update({window.place: window for window in self.memory.added})
        self.memory.committed()

    def receive(self, seq: int, place: SealedPlace = PLACE) -> bool | Refusal:
        """Receive one message in a batch of its own."""
        self.begin(place)
        received = self.memory.receive(place, seq)
        self.commit()
        return received


@given(st.lists(st.integers(1, 200), max_size=60), st.integers(1, 4))
def test_a_number_is_taken_once(seqs: list[int], windows_kept: int) -> None:
    """Whatever the order, and where memory has forgotten: nothing twice, and the new ones all."""
    kept = Kept(windows_kept=windows_kept)
    taken: set[int] = set()
    for seq in seqs:
        kept.receive(1, SealedPlace("lamp-2", 1, seq.to_bytes(16)))
        is_new = kept.receive(seq) is True
        is_near = seq >= max(taken, default=0) - WINDOW_MESSAGES
        assert is_new is (seq not in taken and is_near)
        taken.add(seq)


def test_the_window_fits_into_the_store() -> None:
    """An integer of 63 bits, in whatever order the numbers came."""
    kept = Kept()
    for seq in range(1, 200):
        assert kept.receive(seq) is True
    assert kept.rows[PLACE].seen == 2**WINDOW_MESSAGES - 1


def test_what_was_not_committed_was_not_received() -> None:
    """A batch that failed is tried again, whole."""
    kept = Kept()
    kept.begin(PLACE)
    assert kept.memory.receive(PLACE, 1) is True
    assert kept.memory.receive(PLACE, 1) is False
    kept.begin(PLACE, OTHER)
    assert not kept.memory.knows(PLACE)
    assert kept.memory.receive(PLACE, 1) is True
    kept.memory.begin(OTHER)
    kept.begin(OTHER)
    assert not kept.memory.knows(OTHER)
    assert kept.rows == {}


def test_a_boot_is_known_once_it_was_committed() -> None:
    """Also by a memory that has just started, and had to ask."""
    kept = Kept()
    kept.begin(PLACE)
    kept.memory.begin(PLACE)
    kept.commit()
    kept.begin(PLACE)
    assert kept.memory.knows(PLACE)
    again = Kept()
    again.rows = kept.rows
    again.begin(PLACE, OTHER)
    assert again.memory.knows(PLACE)
    assert not again.memory.knows(OTHER)


def test_a_key_has_so_many_boots_and_no_more() -> None:
    """They may not be forgotten while it opens; those that are known go on."""
    kept = Kept(boots_per_key=2)
    third = SealedPlace("lamp-1", 1, b"r" * 16)
    for place in (PLACE, OTHER):
        assert kept.receive(1, place) is True
    refused = kept.receive(1, third)
    assert isinstance(refused, Refusal)
    assert refused.error == "boots_exhausted"
    assert kept.receive(2) is True
    assert kept.receive(1, SealedPlace("lamp-1", 2, b"r" * 16)) is True
    kept.begin(third)
    assert kept.memory.refusal_of(third) is not None


def test_a_device_is_forgotten_when_its_keys_change() -> None:
    """The store says then what is left."""
    kept = Kept()
    kept.receive(1)
    del kept.rows[PLACE]
    kept.memory.forget("lamp-1")
    kept.begin(PLACE)
    assert not kept.memory.knows(PLACE)
