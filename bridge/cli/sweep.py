"""`syncbridge sweep`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from bridge.api.orphans import BELOW_TWIN, RetainedTopic
from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, as_object, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mqtt import BrokerClient
from bridge.cli.options import command, json_option
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import line_printer, print_error, print_note
from bridge.cli.text import DURATION, compact_json
from bridge.core.topics import TopicGrammar, TwinKey, is_device_id, is_name
from bridge.device.payload import UnreadableError, decode
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.api import AdminClient
    from bridge.config import Config
    from bridge.core.section import JsonObject

TIMEOUT_S = 30.0
PAGE_TOPICS = 200
"""Topics that are asked about and cleared at once; the most that the bridge takes."""

_WHY = {
    "unknown": "there is no such twin",
    "deleted": "the twin was deleted",
    "encoding": "nothing is published in this encoding",
}


class _Orphan(NamedTuple):
    topic: str
    key: TwinKey
    below: str
    reason: str

    def document(self, *, cleared: bool) -> JsonObject:
        return {
            "topic": self.topic,
            "device": self.key.device,
            "name": self.key.name,
            "reason": self.reason,
            "cleared": cleared,
        }


@command("sweep")
@click.option("--dry-run", is_flag=True, help="Only list them.")
@click.option(
    "--timeout",
    "timeout_s",
    type=DURATION,
    default=TIMEOUT_S,
    metavar="DURATION",
    help="How long to wait until 200 topics are seen to be cleared. Default: 30s.",
)
@json_option
@store_option
@pass_invocation
def sweep(
    invocation: Invocation,
    dry_run: bool,
    timeout_s: float,
    as_json: bool,
    store_path: str | None,
) -> ExitStatus:
    """Clear what is retained at the broker and belongs to no twin.

    That is state, delta and presence of twins that were deleted or never were in the store, and
    what is left of an encoding that is not published any more. A presence that says online is left.

    The bridge that holds the store clears them itself, in between its messages, so that nothing of
    a twin that comes to be meanwhile is lost. Where no bridge runs, this command does so. The
    broker and the prefix must be those of the store: the bridge's status there says so.

    \b
    Examples:
      syncbridge sweep --dry-run
      syncbridge sweep
      syncbridge sweep --json | jq -r 'select(.cleared) | .topic'

    Ends with status 1 if some could not be cleared.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    config = load_config(invocation, store_path)
    with administer(config) as admin, BrokerClient.from_config(config) as client:
        sweeping = _Sweeping(config, admin, client, timeout_s)
        orphans = list(sweeping.find())
        cleared: set[str] = set()
        if not dry_run:
            cleared = sweeping.clear(orphans)
    print_line = line_printer()
    for orphan in orphans:
        if as_json:
            click.echo(compact_json(orphan.document(cleared=orphan.topic in cleared)))
        else:
            print_line([(orphan.topic, "bold cyan"), (_WHY[orphan.reason], "dim")])
    left = sweeping.left
    if not as_json:
        print_note(f"{len(orphans)} found, {len(cleared)} cleared")
    if dry_run or not left:
        return ExitStatus.OK
    print_error(
        f"{len(left)} were not seen to be cleared, such as {min(left)}",
        "see the bridge's log; whoever clears them must be allowed to write them",
    )
    return ExitStatus.FAILURE


class _Sweeping:
    """One sweep, at one broker and prefix.

    Attributes:
        left: Topics that are still orphans, though they were to be cleared.
    """

    def __init__(
        self, config: Config, admin: AdminClient, client: BrokerClient, timeout_s: float
    ) -> None:
        self._config = config
        self._admin = admin
        self._client = client
        self._timeout_s = timeout_s
        self._grammar = TopicGrammar(config.prefix)
        self.left: set[str] = set()

    def find(self) -> Iterator[_Orphan]:
        """Read what is retained, and yield what belongs to no twin.

        Raises:
            ConfigError: What is retained there is not of this store.
        """
        # QoS 0, because brokers cut a long retained replay short at QoS 1.
        self._client.subscribe([self._grammar.status, *self._filters()], qos=0)
        status = b""
        topics: list[RetainedTopic] = []
        for message in self._client.replay():
            if message.topic == self._grammar.status:
                status = message.payload
            elif message.retain and message.payload:
                topic = self._parse(message.topic)
                if topic is not None and not _says_online(topic, message.payload):
                    topics.append(topic)
        self._check_identity(status)
        topics.sort()
        for start in range(0, len(topics), PAGE_TOPICS):
            yield from self._ask(topics[start : start + PAGE_TOPICS], clear=False)

    def clear(self, orphans: Sequence[_Orphan]) -> set[str]:
        """Clear topics; returns those that were seen to be cleared."""
        cleared: set[str] = set()
        for start in range(0, len(orphans), PAGE_TOPICS):
            page = [RetainedTopic(o.key, o.below) for o in orphans[start : start + PAGE_TOPICS]]
            # What has become a twin's since is not among them any more.
            still = {o.topic: o for o in self._ask(page, clear=True)}
            if self._admin.is_offline:
                # This process holds the store: no bridge can make a twin of them now.
                for topic in still:
                    self._client.publish(topic, b"", retain=True)
            cleared |= self._see_cleared(still)
        return cleared

    def _see_cleared(self, orphans: Mapping[str, _Orphan]) -> set[str]:
        """Wait until each is seen to be cleared, or to be a twin's: that overtakes the clearing."""
        waiting = dict(orphans)
        cleared: set[str] = set()
        deadline = time.monotonic() + self._timeout_s
        while waiting and (left_s := deadline - time.monotonic()) > 0:
            message = self._client.receive(left_s)
            if message is None or message.topic not in waiting:
                continue
            orphan = waiting[message.topic]
            if not message.payload:
                cleared.add(message.topic)
                del waiting[message.topic]
            elif not [*self._ask([RetainedTopic(orphan.key, orphan.below)], clear=False)]:
                del waiting[message.topic]
        self.left |= waiting.keys()
        return cleared

    def _ask(self, topics: Sequence[RetainedTopic], *, clear: bool) -> Iterator[_Orphan]:
        is_offline = self._admin.is_offline
        answer = self._admin.orphans(
            topics, clear=clear and not is_offline, announce=clear and is_offline
        )
        for row in rows_of(answer, "orphans"):
            yield self._orphan(row)

    def _orphan(self, row: JsonRow) -> _Orphan:
        key, below = TwinKey(text(row, "device"), text(row, "name")), text(row, "below")
        return _Orphan(self._grammar.topic(key, below), key, below, text(row, "reason"))

    def _check_identity(self, status: bytes) -> None:
        """Make sure that the bridge of this store publishes here, and no other."""
        try:
            found = decode(status).get("instance") if status else None
        except UnreadableError:
            found = None
        if found == as_object(self._admin.store(), "metadata").get("instance"):
            return
        whose = "no bridge's" if found is None else "another bridge's"
        raise ConfigError(
            f"what is retained below {self._config.prefix}/ on this broker is {whose}: nothing "
            "is cleared",
            field="prefix",
            hint="name the broker and the prefix of the bridge on this store, with --broker and "
            f"--prefix; if they are, let the bridge publish {self._grammar.status} first",
        )

    def _filters(self) -> list[str]:
        named = [below for below in BELOW_TWIN if below != "presence"]
        return [
            *(self._grammar.topic(TwinKey("+"), below) for below in BELOW_TWIN),
            *(self._grammar.topic(TwinKey("+", "+"), below) for below in named),
        ]

    def _parse(self, topic: str) -> RetainedTopic | None:
        device, *levels = topic.removeprefix(self._config.prefix + "/").split("/")
        if not is_device_id(device) or not levels:
            return None
        name = ""
        if is_name(levels[0]):
            name, *levels = levels
        below = "/".join(levels)
        if below not in BELOW_TWIN or (name and below == "presence"):
            return None
        return RetainedTopic(TwinKey(device, name), below)


def _says_online(topic: RetainedTopic, payload: bytes) -> bool:
    if topic.below != "presence":
        return False
    if payload.strip() == b"online":
        return True
    try:
        return decode(payload).get("online") is True
    except UnreadableError:
        return False
