"""What a message asks for, once its seal is off."""

from __future__ import annotations

from bridge.core.limits import Limits
from bridge.core.topics import InboundTopic, TopicGrammar
from bridge.core.update import Metadata, Update
from bridge.link.base import Message
from bridge.service.requests import Decoder
from bridge.service.unsealing import Unsealed
from bridge.store.sealed_windows import SealedPlace


def test_a_seal_gives_boot_and_number_and_nothing_else_of_the_metadata() -> None:
    """What the sender has said of itself is passed over; all the rest is its own."""
    grammar = TopicGrammar("sync")
    topic = grammar.parse("sync/lamp-1/report")
    assert isinstance(topic, InboundTopic)
    payload = (
        b'{"on":true,"$":{"id":"a","boot":"b","seq":2,"seen":3,"t":"1795389192794000","if":4,'
        b'"full":true}}'
    )
    sealed = Unsealed(payload, "5a" * 16, 7, SealedPlace("lamp-1", 1, bytes(16)), is_proof=False)
    message = Message("sync/lamp-1/report", b"sealed", 1, False, False, 1)
    order = Decoder(grammar, Limits()).decode_update(message, topic, sealed).order
    assert isinstance(order, Update)
    assert order.metadata == Metadata("a", "5a" * 16, 7, 3, 1_795_389_192_794_000, 4, full=True)
    assert order.payload == payload
    assert order.boot_is_known
