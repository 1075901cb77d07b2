"""What the bridge counts. The names are stable; exporting them is a matter for another module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

MESSAGES: Final = "messages_received"
UPDATES_CHANGED: Final = "updates_changed"
UPDATES_DUPLICATE: Final = "updates_duplicate"
UPDATES_SUPERSEDED: Final = "updates_superseded"
UPDATES_REFUSED: Final = "updates_refused"
QUARANTINED: Final = "messages_quarantined"
RESPONSE_TOPICS_IGNORED: Final = "response_topics_ignored"
BATCHES: Final = "batches_committed"
COMMIT_FAILURES: Final = "commit_failures"
PUBLISHED: Final = "publishes_acknowledged"
PUBLISH_REFUSED: Final = "publishes_refused"
REPLIES_DROPPED: Final = "replies_dropped"
EVENTS_DROPPED: Final = "events_dropped"
RESYNCS: Final = "resyncs_asked"
SILENT_OFFLINE: Final = "devices_offline_by_silence"
SESSIONS_LOST: Final = "sessions_lost"
REBUILT: Final = "twins_rebuilt"


class Counters:
    """Counters since the start, each perhaps with one label such as the error's name."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, label: str = "", count: int = 1) -> None:
        """Count something that happened."""
        self._counts[name, label] += count

    def value(self, name: str, label: str = "") -> int:
        """Return one counter."""
        return self._counts[name, label]

    def snapshot(self) -> Mapping[str, int]:
        """Return all counters, as `name` or `name.label`."""
        return {
            f"{name}.{label}" if label else name: count
            for (name, label), count in sorted(self._counts.items())
        }
