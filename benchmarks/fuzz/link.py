"""The target of what a broker sends: packets of MQTT 5, in one piece and in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.fuzz.target import Run, Target, require
from bridge.link.base import LinkSettings, Message
from bridge.link.inbox import Inbox
from bridge.link.mqtt5_connection import Mqtt5Connection
from bridge.link.packets import Incomplete, MalformedPacket, packet_length, read_plainly
from bridge.link.publish_window import PublishWindow

_SETTINGS = LinkSettings(
    "127.0.0.1", 1883, "fuzz", (), maximum_packet_bytes=8192, receive_maximum=10
)


class _Receiver:
    """A connection to no broker, that is given bytes."""

    def __init__(self) -> None:
        self.inbox = Inbox(1000, 10, 2**20)
        self.connection = Mqtt5Connection(_SETTINGS, 1, self.inbox, PublishWindow(10))

    def receive(self, data: bytes) -> None:
        """Have it read as much as has arrived, as asyncio does."""
        stream = self.connection._stream
        while data:
            room = stream.get_buffer(-1)
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            stream.buffer_updated(taken)
            data = data[taken:]

    def messages(self) -> Sequence[Message]:
        """Return what waits."""
        if not self.inbox.backlog.messages:
            return ()
        taking = self.inbox.take(10_000, 2**30)
        try:
            taking.send(None)
        except StopIteration as taken:
            messages: list[Message] = taken.value
            return messages
        raise AssertionError("what waits is there at once")

    @property
    def has_ended(self) -> bool:
        """The connection was given up."""
        return self.connection._ended.done()


def _make() -> Run:
    # A connection belongs to a loop that runs. On this one nothing can be waited for, or pile up.
    loop = asyncio.new_event_loop()
    loop.close()

    def run(data: bytes) -> None:
        asyncio.events._set_running_loop(loop)
        try:
            receive(data)
        finally:
            asyncio.events._set_running_loop(None)

    def receive(data: bytes) -> None:
        if not data:
            return
        step, data = data[0] % 16 + 1, data[1:]
        whole, pieces = _Receiver(), _Receiver()
        whole.receive(data)
        for start in range(0, len(data), step):
            pieces.receive(data[start : start + step])
        require(whole.has_ended == pieces.has_ended, "pieces end a connection as the whole does")
        require(whole.messages() == pieces.messages(), "pieces bring what the whole brings")
        _read_plainly(data)

    return run


def _read_plainly(data: bytes) -> None:
    view = memoryview(data)
    if not view:
        return
    try:
        size_bytes = packet_length(view)
        if size_bytes <= len(view):
            read_plainly(view[:size_bytes])
    except (Incomplete, MalformedPacket):
        return


TARGETS = (
    Target(
        "packets",
        _make,
        100_000,
        (b"\x20\x03\x00\x00\x00", b"\x20\x06\x00\x00\x03\x21\x00\x0a", b"\x30\x07\x00\x01a\x00{}",
         b"\x32\x09\x00\x01a\x00\x01\x00{}", b"\x40\x02\x00\x01", b"\xd0\x00", b"\xe0\x00",
         b"\x20\x02\x00\x01", b"\xff\xff\xff\x7f", b"\x90\x04\x00\x01\x00\x01", b"\x34", b"\x26"),
        length_max=256,
    ),
)  # fmt: skip
