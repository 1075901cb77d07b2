"""What EMQX is given: an access control list, and a configuration.

Written after its documentation, and not tried on an EMQX.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bridge.cli.narrowed import narrowed_lines
from bridge.cli.text import printable
from bridge.core.broker_rights import BrokerRights
from bridge.core.topic_rights import Kind, TopicRight

LOGIN: Final = "${username}"
"""Stands in a topic for the login; `${clientid}` is what a client says of itself."""

CONFIGURATION: Final = """\
# Read before what the dashboard stores, and after nothing: base.hocon of EMQX 5.7 or newer.
authentication = [
  {mechanism = password_based, backend = built_in_database, user_id_type = username}
]
authorization {
  no_match = deny
  deny_action = ignore
  sources = [
    {type = file, enable = true, path = "etc/acl.conf"}
  ]
}
mqtt {
  use_username_as_clientid = true
  max_packet_size = 300KB
  max_mqueue_len = 100000
  max_inflight = 1000
  session_expiry_interval = 14d
}
durable_sessions.enable = true
retainer.backend.storage_type = disc
"""
"""Settings like those of the `mosquitto.conf` that is printed."""

_ACTIONS: Final[dict[Kind, str]] = {"deny": "all", "write": "publish", "read": "subscribe"}


def emqx_lines(
    rights: BrokerRights, prefix: str, login: str, path: Path | None = None
) -> Iterator[str]:
    """Yield the lines of an `acl.conf`, of which the first that matches counts.

    Args:
        rights: With `LOGIN` for the login, and for a broker that checks no deliveries.
        prefix: What all topics begin with.
        login: The bridge's.
        path: Where the permissions stand, for those who read the list.
    """
    yield f"%% Made by syncbridge acl emqx from {printable(str(path))}, for EMQX 5."
    yield "%% For clients that log in with a name as in topics: without / + and #."
    yield ""
    yield "%% The bridge."
    yield f"{{allow, {_user(login)}, all, [{_text(f'{prefix}/#')}]}}."
    for principal, of_principal in rights.of_principals.items():
        yield ""
        yield f"%% {principal}"
        yield from _rules(_user(principal), of_principal, prefix)
    yield ""
    yield "%% Every login, under its own name."
    yield from _rules("all", rights.of_all, prefix)
    yield ""
    yield "{deny, all}."
    if rights.narrowed:
        yield ""
    yield from narrowed_lines(rights.narrowed, "EMQX", "%%")


def _rules(who: str, rights: Iterable[TopicRight], prefix: str) -> Iterator[str]:
    rights = list(rights)
    for kind, action in _ACTIONS.items():
        topics = [
            _text("/".join((prefix, *right.levels))) for right in rights if right.kind == kind
        ]
        if topics:
            permission = "deny" if kind == "deny" else "allow"
            yield f"{{{permission}, {who}, {action}, ["
            yield from (f"  {topic}," for topic in topics[:-1])
            yield f"  {topics[-1]}"
            yield "]}."


def _user(name: str) -> str:
    return f"{{user, {_text(name)}}}"


def _text(text: str) -> str:
    """Return an Erlang string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
