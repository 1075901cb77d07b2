"""What Mosquitto is given: an access control list, a configuration, and logins."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bridge.cli.narrowed import narrowed_lines
from bridge.cli.text import printable
from bridge.core.broker_rights import BrokerRights
from bridge.core.topic_rights import TopicRight

LOGIN: Final = "%u"
"""Stands in a pattern for the login; `%c` is a client id, which everybody chooses."""

PASSWORDS: Final = "/etc/mosquitto/passwords"

CONFIGURATION: Final = """\
# The bridge, on the same machine.
listener 1883 127.0.0.1
# Devices: add a listener with TLS here.

allow_anonymous false
password_file /etc/mosquitto/passwords
acl_file /etc/mosquitto/acl
use_username_as_clientid true

persistence true
persistence_location /var/lib/mosquitto/
autosave_on_changes true
autosave_interval 1

max_queued_messages 100000
max_queued_bytes 268435456
max_inflight_messages 1000
max_packet_size 300000
persistent_client_expiration 14d
set_tcp_nodelay true
"""
"""A `mosquitto.conf` that keeps what it has accepted and lets in only who has a login.
docs/operations.md says why each line is there, and has the same text."""


def mosquitto_lines(
    rights: BrokerRights, prefix: str, login: str, path: Path | None = None
) -> Iterator[str]:
    """Yield the lines of an `acl_file`.

    Args:
        rights: With `LOGIN` for the login.
        prefix: What all topics begin with.
        login: The bridge's.
        path: Where the permissions stand, for those who read the list.
    """
    yield f"# Made by syncbridge acl mosquitto from {printable(str(path))}."
    yield "# For allow_anonymous false. A login is named as in topics: without / + and #."
    yield ""
    yield "# The bridge."
    yield f"user {login}"
    yield f"topic readwrite {prefix}/#"
    for principal, of_principal in rights.of_principals.items():
        yield ""
        yield f"user {principal}"
        yield from (_line("topic", right, prefix) for right in of_principal)
    yield ""
    yield "# Every login, under its own name."
    yield from (_line("pattern", right, prefix) for right in rights.of_all)
    if rights.narrowed:
        yield ""
    yield from narrowed_lines(rights.narrowed, "Mosquitto")


def _line(word: str, right: TopicRight, prefix: str) -> str:
    return f"{word} {right.kind} {prefix}/{'/'.join(right.levels)}"


def login_lines(logins: Iterable[str]) -> Iterator[str]:
    """Yield the commands that make the file of passwords; each asks for one.

    Args:
        logins: The bridge's, and those of the principals.
    """
    yield f"touch {PASSWORDS}"
    yield f"chmod 600 {PASSWORDS}"
    yield f"chown mosquitto: {PASSWORDS}"
    for login in logins:
        yield f"mosquitto_passwd {PASSWORDS} {shlex.quote(login)}"
    yield "# and one for each device, named as its device id"
