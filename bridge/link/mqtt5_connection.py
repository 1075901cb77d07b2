"""One connection in MQTT 5, on the `mqtt5` codec."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

import mqtt5

from bridge.link import packets, reasons
from bridge.link.base import (
    Answered,
    LinkSettings,
    Message,
    ProtocolVersion,
    Publication,
    Subscription,
)
from bridge.link.connack import (
    CONNACK_3_BYTES,
    CONNACK_3_HEADER,
    Connack,
    missing_feature,
    read_connack,
    reason_of_return_code,
    server_detail,
)
from bridge.link.connection import Connection
from bridge.link.inbox import Inbox
from bridge.link.keep_alive import KeepAlive
from bridge.link.packet_stream import FIXED_HEADER_BYTES, PacketStream
from bridge.link.publish_window import PublishWindow, too_large
from bridge.link.transport import open_transport
from bridge.logs import get_logger

TOPIC_ALIASES_MAXIMUM: Final = 10_000
"""Topics that are given a number on one connection, where the broker allows as many."""

_QOS_1: Final = mqtt5.QoS.AT_LEAST_ONCE
_QOS_2: Final = mqtt5.QoS.EXACTLY_ONCE
_ACKNOWLEDGED: Final = mqtt5.PubAckReasonCode.SUCCESS

_log = get_logger("link")

_UNREADABLE: Final = "PanicException"
"""What the codec raises for text that is not UTF-8: no `Exception`, and nothing to import."""


class Mqtt5Connection(Connection):
    """See `Connection`."""

    protocol: ClassVar[ProtocolVersion] = "5"

    def __init__(
        self, settings: LinkSettings, generation: int, inbox: Inbox, window: PublishWindow
    ) -> None:
        super().__init__(settings, generation, inbox, window)
        self._stream: PacketStream = PacketStream(self._parse, self._lost, self._must_read)
        inbox.on_room = self._stream.resume_reading
        self._keep = KeepAlive(settings.keepalive_s)
        self._aliases: dict[str, int] = {}
        self._aliases_maximum = 0
        self._to_send_again: deque[int] = deque()
        self._taken_before = 0

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK for those of the messages that this connection delivered."""
        if self._ended.done() or not self._accepted.done():
            return
        generation = self._generation
        delivered = [
            message.packet_id
            for message in messages
            if message.qos and message.generation == generation
        ]
        if delivered:
            self._stream.write(packets.pubacks(delivered))

    # Steps of the handshake, and the end.

    async def _open_stream(self) -> None:
        await open_transport(self._stream, self._settings)

    def _send_connect(self) -> None:
        self._stream.write(packets.connect(self._settings))

    def _send_subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        self._stream.write(packets.subscribe(self._window.next_packet_id(), subscriptions))

    def _send_disconnect(self) -> None:
        self._stream.write(packets.DISCONNECT)
        self._stream.finish()

    def _keep_alive(self) -> float:
        stream, now = self._stream, asyncio.get_running_loop().time()
        received = stream.has_read or stream.is_paused  # Then it is we who do not listen.
        action = self._keep.look(now, received=received, sent=stream.has_written)
        stream.has_read = stream.has_written = False
        if action == "ping":
            stream.write(packets.PINGREQ)
        elif action == "dead":
            self._end(reasons.silent(self._address, self._keep.interval_s))
        return self._keep.look_every_s

    # Publishing.

    def _resume(self, connack: Connack) -> None:
        if connack.keepalive_s:
            self._keep = KeepAlive(connack.keepalive_s)
        self._aliases_maximum = min(connack.topic_aliases, TOPIC_ALIASES_MAXIMUM)
        self._window.limit_to(connack.receive_maximum)
        if connack.session_present:
            self._to_send_again.extend(self._window.packet_ids())
            for _ in range(self._window.size):
                self._send_next_again()
        else:
            self._window.fail_all(reasons.session_lost(self._address))

    def _send_next_again(self) -> None:
        """Send the next of the publishes of an earlier connection that are still unanswered."""
        while self._to_send_again:
            packet_id = self._to_send_again.popleft()
            publication = self._window.publication(packet_id)
            if publication is None:
                continue
            refusal = too_large(publication, self._maximum_packet_bytes)
            if refusal is None:
                topic = publication.topic
                packet = packets.publish(publication, packet_id, topic=topic, duplicate=True)
                self._stream.write(packet)
                return
            self._window.answer(packet_id, refusal)

    def _publish(self, publication: Publication, answered: Answered) -> None:
        packet_id = self._window.next_packet_id()
        topic = publication.topic
        alias = self._aliases.get(topic)
        if alias is not None:
            packet = packets.publish(publication, packet_id, topic="", alias=alias)
        # Retained topics are published to again and again, the others mostly once.
        elif publication.retain and len(self._aliases) < self._aliases_maximum:
            alias = len(self._aliases) + 1
            packet = packets.publish(publication, packet_id, topic=topic, alias=alias)
            self._aliases[topic] = alias
        else:
            packet = packets.publish(publication, packet_id, topic=topic)
        self._window.add(packet_id, publication, answered)
        self._stream.write(packet)
        if self._stream.is_paused and self._waits_for_acknowledgements():
            self._stream.resume_reading()

    # What the broker sends.

    def _parse(self, data: memoryview) -> int:
        parsed = self._parse_packets(data)
        if self._inbox.is_full and not self._waits_for_acknowledgements():
            self._stream.pause_reading()
        return parsed

    def _waits_for_acknowledgements(self) -> bool:
        """Tell whether reading goes on although the inbox is full.

        Nothing can be published before one of the publishes in flight is acknowledged. Whoever
        waits for that makes no room, and a broker that runs ahead has it stand behind all else.
        """
        return not self._window.slots and self._inbox.has_reserve

    def _must_read(self) -> bool:
        """Tell whether to read on, after the reserve too: nobody has made room for long.

        Somewhere behind what is held back stand the acknowledgements of our own publishes.
        """
        taken, before = self._inbox.taken, self._taken_before
        self._taken_before = taken
        return taken == before and self._window.slots < self._window.size

    def _parse_packets(self, data: memoryview) -> int:
        position, end = 0, len(data)
        read = mqtt5.read
        # What follows the end must not be taken: the broker sends it again, and it would come
        # before what was discarded.
        while position < end and not self._is_over:
            rest = data[position:]
            try:
                packet, size_bytes = read(rest)
            except IndexError:
                if self._is_awaited(rest):
                    return position
                return end
            except BaseException as error:
                if not isinstance(error, ValueError) and type(error).__name__ != _UNREADABLE:
                    raise
                size_bytes = self._parse_refused(rest, error)
                if not size_bytes:
                    return end
            else:
                if type(packet) is mqtt5.PublishPacket:
                    self._take(packet)
                elif type(packet) is mqtt5.PubAckPacket:
                    self._acknowledged(packet)
                else:
                    self._take_rare(packet)
            position += size_bytes
        return end

    def _take(self, packet: mqtt5.PublishPacket) -> None:
        qos = packet.qos
        if qos == _QOS_2:
            self._end(reasons.unintelligible(self._address, ": a publish of QoS 2"))
        elif not self._inbox.put(
            Message(
                packet.topic,
                packet.payload,
                1 if qos == _QOS_1 else 0,
                packet.retain,
                self._generation,
                packet.packet_id or 0,
                packet.response_topic,
                packet.correlation_data,
                packet.duplicate,
            )
        ):
            self._overrun()

    def _acknowledged(self, packet: mqtt5.PubAckPacket) -> None:
        failure = None
        if packet.reason_code != _ACKNOWLEDGED:
            code = int(packet.reason_code)
            failure = reasons.name_of(code) if code >= reasons.FIRST_FAILURE else None
        if self._window.acknowledged(packet.packet_id, failure) and self._to_send_again:
            self._send_next_again()

    def _take_rare(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.ConnAckPacket):
            self._take_connack(packet)
        elif isinstance(packet, mqtt5.SubAckPacket):
            if not self._granted.done():
                self._granted.set_result([int(code) for code in packet.reason_codes])
        elif isinstance(packet, mqtt5.DisconnectPacket):
            detail = server_detail(packet)
            self._end(reasons.ended_by_broker(self._address, int(packet.reason_code), detail))
        elif not isinstance(packet, mqtt5.PingRespPacket):
            kind = type(packet).__name__.removesuffix("Packet").upper()
            self._end(reasons.unintelligible(self._address, f": a {kind}, which nobody asked for"))

    def _take_connack(self, packet: mqtt5.ConnAckPacket) -> None:
        if self._connack_code is not None:
            self._end(reasons.unintelligible(self._address, ": a second CONNACK"))
            return
        code = self._connack_code = int(packet.reason_code)
        missing = missing_feature(packet)
        if code >= reasons.FIRST_FAILURE:
            self._end(reasons.refused(self._address, code, server_detail(packet)))
        elif missing is not None:
            self._end(reasons.lacks_feature(self._address, missing))
        elif not self._ended.done():
            self._note_expiry(packet.session_expiry_interval)
            self._accepted.set_result(read_connack(packet))

    def _note_expiry(self, granted_s: int | None) -> None:
        if granted_s is not None and granted_s < self._settings.session_expiry_s:
            _log.warning(
                "the broker keeps the session for less than was asked for: what it has accepted "
                "for the bridge is lost when that is away for longer",
                granted_s=granted_s,
                asked_s=self._settings.session_expiry_s,
                hint="raise the broker's longest session expiry",
            )

    # What the codec does not read.

    def _is_awaited(self, rest: memoryview) -> bool:
        """Tell whether more bytes will make a packet of these; otherwise the connection ends."""
        try:
            size_bytes = packets.packet_length(rest)
        except packets.Incomplete:
            return True
        except packets.MalformedPacket as error:
            self._end(reasons.unintelligible(self._address, f": {error}"))
            return False
        if size_bytes <= len(rest):
            self._end(reasons.unintelligible(self._address, ": a packet that is cut short"))
            return False
        allowed = self._settings.maximum_packet_bytes + FIXED_HEADER_BYTES
        if size_bytes > allowed:
            self._end(reasons.packet_too_large(self._address, size_bytes, allowed))
            return False
        self._stream.expect(size_bytes)
        return True

    def _parse_refused(self, rest: memoryview, error: BaseException) -> int:
        """Read what the codec has refused, where that can be done; returns its size, or 0."""
        if self._connack_code is None and rest[:2] == CONNACK_3_HEADER:
            if len(rest) >= CONNACK_3_BYTES:
                self._connack_code = reason_of_return_code(rest[3])
                self._end(reasons.refused(self._address, self._connack_code))
            return 0
        try:
            size_bytes = packets.packet_length(rest)
            message = packets.read_plainly(rest[:size_bytes])
        except (packets.MalformedPacket, packets.Incomplete):
            self._end(reasons.unintelligible(self._address, f": {error}"))
            return 0
        if not self._inbox.put(
            Message(
                message.topic,
                message.payload,
                message.qos,
                message.retain,
                self._generation,
                message.packet_id,
                dup=message.duplicate,
            )
        ):
            self._overrun()
        return size_bytes
