"""Room for connections among the files that the process may open."""

from __future__ import annotations

import resource
from typing import Final

from bridge.logs import get_logger

RESERVED_FILES: Final = 256
"""Files for everything else: the store and its readers, the broker, administration, the log."""

CONNECTIONS_MIN: Final = 16
"""Connections that are taken however few files there may be."""

_log = get_logger("bridge.http")


def make_room(connections: int) -> int:
    """Raise the process's limit on open files, as far as it may, for a number of connections.

    Without, the bridge could not open its own files any more once so many had come.

    Returns:
        How many connections there is room for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised, room = fit(connections, _finite(soft), _finite(hard))
    if raised > _finite(soft):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    if room < connections:
        _log.warning(
            "http.connections is more than the system lets this process have",
            connections=connections,
            allowed=room,
            hint="raise its limit on open files (ulimit -n, or LimitNOFILE= of systemd)",
        )
    return room


def fit(connections: int, soft: int, hard: int) -> tuple[int, int]:
    """Return the soft limit that is needed, and how many connections there is room for then."""
    raised = min(max(soft, connections + RESERVED_FILES), hard)
    return raised, min(connections, max(raised - RESERVED_FILES, CONNECTIONS_MIN))


def _finite(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit
