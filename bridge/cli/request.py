"""Asking the bridge for something by MQTT, and waiting for its reply."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bridge.cli.given_keys import read_key
from bridge.cli.invocation import Invocation
from bridge.cli.mqtt import BrokerClient, Received
from bridge.cli.names import requester_name
from bridge.cli.text import printable
from bridge.core.section import JsonObject
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.device.envelope import CLEAR, Envelope
from bridge.device.events import OutgoingMessage, Twin
from bridge.device.payload import METADATA_KEY, SealedError, UnreadableError, decode, encode
from bridge.device.replies import Reply, read_reply, read_twin
from bridge.errors import DeviceError, NotAnswered, Refused

if TYPE_CHECKING:
    from bridge.security.sealing import DeviceKey

_REQUEST_ID_BYTES = 12

_HINTS = {
    "no_such_twin": "is it spelled like that? `syncbridge devices` lists those that there are",
    "not_sealed": "--key FILE seals it, with the key of the name that asks: "
    "`syncbridge keys create NAME --output FILE` makes one",
}
"""What somebody who typed the request can do about a refusal, beside what the bridge says."""


class _Message(NamedTuple):
    """What is published, each time with the same bytes."""

    topic: str
    payload: bytes


class Answer(NamedTuple):
    """A reply that is not a refusal: its `$`, and the whole of it."""

    reply: Reply
    document: JsonObject

    @property
    def since(self) -> int | None:
        """The version since which the sections hold what has changed; None: they are whole."""
        head = self.document.get(METADATA_KEY)
        since = head.get("since") if isinstance(head, dict) else None
        return since if isinstance(since, int) else None

    def twin(self) -> Twin:
        """Read the twin out of the reply to a `get`, or what has changed of it.

        Raises:
            DeviceError: It is not in there.
        """
        # Without sections where nothing has changed since the version that was asked for.
        nothing: JsonObject = {} if self.since is None else {"reported": {}, "desired": {}}
        try:
            return read_twin({**nothing, **self.document}, self.reply.version)
        except UnreadableError as error:
            raise DeviceError(
                f"the bridge's reply cannot be understood: {error}",
                hint="compare `syncbridge version` here and where the bridge runs",
            ) from error


class Requester:
    """Sends requests over one connection, under one name.

    Args:
        client: The connection; entered by the caller.
        prefix: What the topics begin with.
        name: The requester or writer, as it stands in the topics.
        timeout_s: How long to wait for a reply.
        key: Seals requests, and opens replies; of this name, or, for reports, of the device.
    """

    def __init__(
        self,
        client: BrokerClient,
        prefix: str,
        name: str,
        timeout_s: float,
        key: DeviceKey | None = None,
    ) -> None:
        self._key = key
        self._envelope: Envelope = CLEAR if key is None else _seal(key)
        self._client = client
        self._topics = TopicGrammar(prefix)
        self._name = name
        self._timeout_s = timeout_s
        self._bridge_is_online = False

    def send(self, key: TwinKey, verb: str, body: JsonObject, metadata: JsonObject) -> None:
        """Publish without asking for a reply; returns when the broker has it."""
        if metadata:
            body = {**body, METADATA_KEY: metadata}
        self._client.publish(*self._message(key, verb, body))

    def ask(self, key: TwinKey, verb: str, body: JsonObject, metadata: JsonObject) -> Answer:
        """Publish a request with an id, and wait for the bridge's reply.

        Args:
            key: The twin.
            verb: One of get, desire, delete, report.
            body: The payload without `$`.
            metadata: What stands in `$` beside the id.

        Raises:
            Refused: The bridge refuses it.
            NotAnswered: There is no bridge, or no reply in time.
            DeviceError: The reply is sealed, and there is no key.
            LinkError: The broker refuses a subscription, or the connection has ended.
        """
        request_id = secrets.token_hex(_REQUEST_ID_BYTES)
        message = self._message(key, verb, {**body, METADATA_KEY: {**metadata, "id": request_id}})
        reply_topic = self._topics.topic(key, "reply", self._sender(key, verb))
        self._client.subscribe([reply_topic, self._topics.status])
        self._check_bridge()
        self._client.publish(*message)
        return self._await_reply(reply_topic, request_id, message)

    def _sender(self, key: TwinKey, verb: str) -> str:
        # A device's reports are the device's own, and are answered to its name.
        return key.device if verb == "report" else self._name

    def _message(self, key: TwinKey, verb: str, body: JsonObject) -> _Message:
        sender = self._sender(key, verb)
        if self._key is not None and self._key.device != sender:
            raise click.UsageError(
                f"--key: the key is of {self._key.device}, and this is sent as {sender}"
            )
        topic = self._topics.topic(key, verb, "" if verb == "report" else self._name)
        closed = self._envelope.close(OutgoingMessage(topic, _encoded(body)))
        return _Message(topic, closed.payload)

    def _check_bridge(self) -> None:
        """Look at the bridge's retained status before anything is sent.

        A request to a bridge that is away would be kept by the broker and carried out later, when
        nobody expects it any more.
        """
        for message in self._client.replay():
            if message.topic == self._topics.status:
                self._note_status(message.payload)

    def _note_status(self, payload: bytes) -> None:
        try:
            status = decode(payload)
        except UnreadableError:
            return
        self._bridge_is_online = status.get("online") is True
        if status.get("online") is False:
            raise NotAnswered(
                "the bridge is offline, says its retained status; nothing was sent",
                hint="start it: syncbridge run",
            )

    def _await_reply(self, reply_topic: str, request_id: str, message: _Message) -> Answer:
        deadline = time.monotonic() + self._timeout_s
        unopened = 0
        while (left_s := deadline - time.monotonic()) > 0:
            received = self._client.receive(left_s)
            if received is None or received.topic != reply_topic:
                continue
            try:
                answer = self._read(received)
            except UnreadableError:
                # Not for us: whoever may publish to the topic can put anything there.
                unopened += self._key is not None
                if unopened == 1:
                    # Or sealed with the key before: the bridge has just learned of this one. The
                    # same bytes are answered like the first, and do not take effect twice.
                    self._client.publish(*message)
                continue
            if answer.reply.request_id == request_id:
                return _accepted(answer)
        raise self._not_answered(reply_topic, message.topic, is_unopened=unopened > 0)

    def _read(self, received: Received) -> Answer:
        try:
            document = decode(self._envelope.open(*received[:2]))
        except SealedError as error:
            name = received.topic.rsplit("/", 1)[-1]
            raise DeviceError(
                f"the bridge's reply to {name} is sealed, and no key was given to open it",
                hint=f"--key FILE with the key of {name} opens it",
            ) from error
        return Answer(read_reply(document), document)

    def _not_answered(self, reply_topic: str, topic: str, *, is_unopened: bool) -> NotAnswered:
        waited = f"no bridge has answered within {self._timeout_s:g} s"
        if self._key is not None and self._bridge_is_online:
            came = "what came does not open with" if is_unopened else "it may not be able to open"
            return NotAnswered(
                f"{waited}, though one is online: {came} key {self._key.key_id} of "
                f"{self._key.device}",
                hint=f"is it a valid one? `syncbridge keys list {self._key.device}` tells, where "
                "the bridge runs; the request may still take effect",
            )
        if self._bridge_is_online:
            return NotAnswered(
                f"{waited}, though one is online",
                hint=f"may this user publish to {topic} and read {reply_topic}? if so, a busy "
                "bridge needs a longer --timeout; the request may still take effect",
            )
        return NotAnswered(
            f"{waited}, and none has ever left its status at {self._topics.status}",
            hint="is a bridge running on this broker, with this --prefix? "
            "start one: syncbridge run",
        )


def _seal(key: DeviceKey) -> Envelope:
    # Only here: most calls have nothing to do with OpenSSL.
    from bridge.device.seal import Seal

    return Seal(key.device, [key])


def _encoded(body: JsonObject) -> bytes:
    try:
        return encode(body, "json")
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _accepted(answer: Answer) -> Answer:
    reply = answer.reply
    if reply.ok:
        return answer
    error = printable(reply.error)
    raise Refused(reply.code, error, printable(reply.message), hint=_HINTS.get(error, ""))


@contextmanager
def connect(
    invocation: Invocation,
    given_name: str | None,
    timeout_s: float,
    key_file: Path | None = None,
) -> Iterator[Requester]:
    """Connect to the broker that is configured, for some requests.

    Args:
        invocation: Where the configuration comes from.
        given_name: From --as, or None.
        timeout_s: How long to wait for each reply.
        key_file: From --key, or None; the name is then that of the key.
    """
    config = invocation.load().config
    key = None if key_file is None else read_key(key_file)
    if given_name is None and key is not None:
        given_name = key.device
    name = requester_name(given_name, config.broker.username)
    with BrokerClient.from_config(config) as client:
        yield Requester(client, config.prefix, name, timeout_s, key)
