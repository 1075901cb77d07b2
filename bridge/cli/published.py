"""Reading what the bridge has published, whatever else stands on its topics."""

from __future__ import annotations

from collections.abc import Callable

from bridge.cli.mqtt import Received
from bridge.cli.observed import Observed, RetainedTopics, SealedTopic
from bridge.cli.terminal import print_error
from bridge.cli.text import printable
from bridge.device.payload import UnreadableError


def read_published(
    topics: RetainedTopics,
    message: Received,
    note_sealed: Callable[[SealedTopic], None] | None = None,
) -> Observed | None:
    """Read a state or a delta; None, with a line on the standard error, if it is none.

    Args:
        topics: Read it.
        message: What has arrived.
        note_sealed: Told, in place of the line, what is sealed and cannot be opened.
    """
    try:
        return topics.read(message.topic, message.payload)
    except UnreadableError as error:
        if note_sealed is not None and isinstance(error, SealedTopic):
            note_sealed(error)
        else:
            print_error(f"{printable(message.topic)} cannot be read: {printable(str(error))}")
        return None
