"""`syncbridge watch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from bridge.cli.given_keys import GivenKeys, keys_option, read_key
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mqtt import BrokerClient
from bridge.cli.names import check_name, twin_key
from bridge.cli.observed import Change, RetainedTopics, SealedTopic, Watcher
from bridge.cli.options import command, json_option, name_option
from bridge.cli.published import read_published
from bridge.cli.terminal import is_terminal, line_printer, print_error, print_note
from bridge.cli.text import DURATION, compact_json
from bridge.cli.watch_format import change_object, change_spans
from bridge.core.topics import TwinKey


@command("watch")
@click.argument("devices", metavar="[DEVICE]...", nargs=-1)
@click.option("--changes-only", is_flag=True, help="Do not show what is there at the start.")
@click.option("--for", "duration_s", type=DURATION, metavar="DURATION", help="End after that time.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after that many lines.")
@keys_option
@name_option
@json_option
@pass_invocation
def watch(
    invocation: Invocation,
    devices: tuple[str, ...],
    changes_only: bool,
    duration_s: float | None,
    count: int | None,
    key_files: tuple[Path, ...],
    name: str,
    as_json: bool,
) -> None:
    """Show the twins as they are, and then every change as it happens.

    One line for each change of a state or of a delta, with what is different from the state shown
    before. Without a DEVICE all are shown. Lines go out at once, also into a pipe, and with --json
    each is one JSON object. Of what is sealed, that is shown which the key of a --key opens.

    \b
    Examples:
      syncbridge watch
      syncbridge watch lamp-1 lamp-2 --for 10m
      syncbridge watch --changes-only --json | jq -c 'select(.event == "delta")'
      syncbridge watch lamp-1 --changes-only --count 1
      syncbridge watch --key lamp-1.key --key hall.key

    Ctrl-C ends it, with status 0. When the broker goes away, it waits until it is back.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    for device in devices:
        twin_key(device, "")
    if name:
        check_name(name, "--name")
    config = invocation.load().config
    topics = RetainedTopics(config.prefix, GivenKeys([read_key(path) for path in key_files]))
    show = _printer(as_json=as_json)
    shown = 0
    try:
        with BrokerClient.from_config(config, stay=True, notice=print_note) as client:
            # QoS 0, because brokers cut a long retained replay short at QoS 1.
            client.subscribe(topics.filters(devices, name), qos=0)
            for change in _changes(client, topics, duration_s, changes_only=changes_only):
                show(change)
                shown += 1
                if shown == count:
                    return
    except KeyboardInterrupt:
        # The ordinary way to end it, so no failure.
        return


def _changes(
    client: BrokerClient, topics: RetainedTopics, duration_s: float | None, *, changes_only: bool
) -> Iterator[Change]:
    """Yield what changes until the time is over."""
    watcher, sealed = Watcher(), _Sealed()
    deadline = None if duration_s is None else time.monotonic() + duration_s
    while True:
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        message = client.receive(left_s)
        if message is None:
            return
        observed = read_published(topics, message, sealed.note)
        change = None if observed is None else watcher.take(observed)
        if change is None or (changes_only and change.is_first and message.retain):
            continue
        yield change


class _Sealed:
    """Says once of each twin that it cannot be shown."""

    def __init__(self) -> None:
        self._said: set[tuple[TwinKey, str]] = set()

    def note(self, topic: SealedTopic) -> None:
        if (topic.key, topic.verb) not in self._said:
            self._said.add((topic.key, topic.verb))
            whose = topic.key.device
            if topic.verb == "state":
                whose += ", or of the group that reads it"
            print_error(
                f"the {topic.verb} of {topic.key} is sealed",
                f"--key FILE with the key of {whose} opens it",
            )


def _printer(*, as_json: bool) -> Callable[[Change], None]:
    if as_json:
        return lambda change: click.echo(compact_json(change_object(change)))
    print_line = line_printer()
    for_terminal = is_terminal()
    return lambda change: print_line(change_spans(change, for_terminal=for_terminal))
