"""Reading what the bridge has published, whatever else stands on its topics."""

from __future__ import annotations

from bridge.cli.mqtt import Received
from bridge.cli.observed import Observed, RetainedTopics
from bridge.cli.terminal import print_error
from bridge.cli.text import printable
from bridge.device.payload import UnreadableError


def read_published(topics: RetainedTopics, message: Received) -> Observed | None:
    """Read a state or a delta; None, with a line on the standard error, if it is none."""
    try:
        return topics.read(message.topic, message.payload)
    except UnreadableError as error:
        topic = printable(message.topic)
        print_error(f"{topic} cannot be read: {printable(str(error))}")
        return None
