"""Whatever is asked of a twin goes one way."""

from __future__ import annotations

import pytest

from bridge.core.limits import Limits
from bridge.core.orders import Deletion, ForgetWriter, Order, carry_out
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Delivery, Metadata, Presence, SectionName, Update

KEY = TwinKey("lamp-1")
NOW = 1_700_000_000_000_000


def update(section: SectionName, writer: str, **fields: int) -> Update:
    """An update with the number 1 in boot `b`."""
    return Update(KEY, section, writer, {**fields}, Metadata(boot="b", seq=1), b"{}")


@pytest.fixture
def twin() -> Twin:
    """A twin that has been reported and desired once."""
    made = Twin(KEY)
    for order in (update("reported", "lamp-1", on=1), update("desired", "app", on=0)):
        carry_out(made, order, NOW, Limits())
    return made


@pytest.mark.parametrize(
    ("order", "version"),
    [
        (Update(KEY, "desired", "app", {"on": 1}, Metadata(), b"{}"), 3),
        (Presence(True), 3),
        (Deletion("app"), 3),
        (ForgetWriter("app"), 2),
    ],
)
def test_every_order_is_carried_out(twin: Twin, order: Order, version: int) -> None:
    """With its outcome, and something to store."""
    outcome = carry_out(twin, order, NOW, Limits())
    assert (outcome.version, outcome.store, outcome.refusal) == (version, True, None)
    assert twin.version == version


def test_a_deletion_says_who_and_is_known_when_it_comes_again(twin: Twin) -> None:
    """By how it was delivered."""
    order = Deletion("anna", b"payload", Delivery(packet_id=7))
    outcome = carry_out(twin, order, NOW, Limits())
    assert outcome.change is not None
    assert outcome.change.writer == "anna"
    carry_out(twin, update("reported", "lamp-1", on=1)._replace(payload=b"new"), NOW, Limits())
    again = order._replace(delivery=Delivery(packet_id=7, repeated=True))
    assert carry_out(twin, again, NOW, Limits()).duplicate
    assert not carry_out(twin, again._replace(payload=b"other"), NOW, Limits()).duplicate


def test_a_forgotten_writer_may_send_its_numbers_again(twin: Twin) -> None:
    """Before it is forgotten they are repeats."""
    again = update("desired", "app", on=7)
    assert carry_out(twin, again._replace(payload=b"{}"), NOW, Limits()).duplicate
    carry_out(twin, ForgetWriter("app", "desired"), NOW, Limits())
    assert carry_out(twin, again, NOW + 1, Limits()).changed


def test_a_writer_is_forgotten_in_the_section_that_is_named(twin: Twin) -> None:
    """And only there; where it is not remembered there is nothing to store."""
    assert not carry_out(twin, ForgetWriter("app", "reported"), NOW, Limits()).store
    assert not carry_out(twin, ForgetWriter("nobody"), NOW, Limits()).store
    assert set(twin.writers) == {("reported", "lamp-1"), ("desired", "app")}
    assert carry_out(twin, ForgetWriter("lamp-1"), NOW, Limits()).store
    assert set(twin.writers) == {("desired", "app")}
