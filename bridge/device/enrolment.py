"""A device's side of enrolment, without a connection: what it sends, and what it believes."""

from __future__ import annotations

import secrets

from bridge.core.topics import IDENTIFIER_RULE, TopicGrammar, TwinKey, is_device_id
from bridge.device.events import OutgoingMessage
from bridge.device.payload import METADATA_KEY, UnreadableError, decode, encode
from bridge.device.replies import read_reply
from bridge.errors import NotGenuine, Refused
from bridge.security.claim import Claim
from bridge.security.enrolment import EnrolRequest, Grant, Place
from bridge.security.kem import PRIVATE_KEY_BYTES
from bridge.security.sealing import DeviceKey

_REQUEST_ID_BYTES = 8


class Enrolment:
    """One enrolment (docs/enrolment.md): a request that may be sent as often as is needed.

    Args:
        device_id: The device that the claim is for.
        claim: The claim, as `syncbridge enrol` printed it.
        prefix: Of all topics.
        private_key: The one of an attempt before, of which the answer was lost: under one claim
            the bridge answers one key pair only. None makes one.

    Attributes:
        claim: The claim, read.
        private_key: 32 bytes; whoever has it can open the answer.
        topic: Where the request is published.
        reply_topic: Where the answer comes.

    Raises:
        ValueError: The claim was not copied whole, or an argument cannot be what it should be.
    """

    def __init__(
        self,
        device_id: str,
        claim: str,
        *,
        prefix: str = "sync",
        private_key: bytes | None = None,
    ) -> None:
        if not is_device_id(device_id):
            raise ValueError(f"device id {device_id!r}: it is {IDENTIFIER_RULE}")
        self.claim = Claim.parse(claim.strip())
        self.private_key = private_key or secrets.token_bytes(PRIVATE_KEY_BYTES)
        if len(self.private_key) != PRIVATE_KEY_BYTES:
            raise ValueError(f"a private key has {PRIVATE_KEY_BYTES} bytes")
        grammar = TopicGrammar(prefix)
        self.topic = grammar.topic(TwinKey(device_id), "enrol")
        self.reply_topic = grammar.topic(TwinKey(device_id), "key")
        self._place = Place(device_id, self.topic)
        self._request_id = secrets.token_hex(_REQUEST_ID_BYTES)
        self._request = EnrolRequest.make(self._place, self.claim, self.private_key)

    @property
    def request(self) -> OutgoingMessage:
        """The request; the same bytes each time."""
        payload = encode({METADATA_KEY: {"id": self._request_id}, **self._request.body}, "json")
        return OutgoingMessage(self.topic, payload)

    def read_answer(self, payload: bytes) -> DeviceKey | None:
        """Read what has arrived on `reply_topic`.

        Returns:
            The device's key; None where this is an answer to something else.

        Raises:
            Refused: The bridge refuses, or says that somebody does: refusals are not signed.
            NotGenuine: It was not signed by the bridge for this very request. Wait for another.
        """
        try:
            document = decode(payload)
            reply = read_reply(document)
        except UnreadableError:
            return None
        if reply.request_id != self._request_id:
            return None
        if not reply.ok:
            raise Refused(reply.code, reply.error, reply.message)
        grant = Grant.read(document)
        key = None if grant is None else grant.open(self._place, self.claim, self.private_key)
        if key is None:
            raise NotGenuine(
                "an answer came that was not made by the bridge of this claim, for this request",
                hint="somebody else may publish to this device's key topic: see the broker's "
                "access control list",
            )
        return key
