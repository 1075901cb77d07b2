"""Who asks for an act of administration, and the row of the audit trail that tells of it."""

from __future__ import annotations

import asyncio
import getpass
import os
import pwd
import socket
import struct
import time
from typing import Final, NamedTuple

import orjson
from starlette.requests import HTTPConnection
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.store.audit import DETAILS_CHARACTERS, AuditRow, Via

_ACTOR: Final = "actor"
_CREDENTIALS: Final = struct.Struct("3i")
"""`struct ucred`: process, user and group (unix(7))."""


class Actor(NamedTuple):
    """Who acts.

    Attributes:
        via: How.
        who: The user of this machine, or the principal; empty where that cannot be known.
    """

    via: Via
    who: str


class PeerProtocol(H11Protocol):
    """Notes which user is at the other end of a Unix socket, as the kernel says."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        who = _peer_of(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, _ACTOR: Actor("socket", who)}
        super().connection_made(transport)


def _peer_of(connection: socket.socket | None) -> str:
    option = getattr(socket, "SO_PEERCRED", None)
    if connection is None or option is None:
        # Elsewhere than on Linux; only the bridge's user can open the socket.
        return ""
    packed = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return user_name(_CREDENTIALS.unpack(packed)[1])


def user_name(uid: int) -> str:
    """Return a user's name, or `uid` and the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def own_actor(via: Via) -> Actor:
    """Return this process as the one who acts."""
    try:
        return Actor(via, user_name(os.getuid()))
    except AttributeError:  # no users of POSIX here
        return Actor(via, getpass.getuser())


def scope_of(actor: Actor) -> dict[str, object]:
    """Return what a request's scope holds as `state`, so that `actor_of` finds the actor."""
    return {_ACTOR: actor}


def actor_of(request: HTTPConnection) -> Actor:
    """Return who sent a request of administration."""
    actor = request.scope.get("state", {}).get(_ACTOR)
    return actor if isinstance(actor, Actor) else Actor("socket", "")


def act(
    actor: Actor, name: str, target: str = "", *, outcome: str = "done", **details: object
) -> AuditRow:
    """Return a row of the audit trail for something that happens now.

    Args:
        actor: Who does it.
        name: What, such as `token.create`.
        target: On what.
        outcome: What came of it.
        details: What else there is to say; nothing secret, and no payload.
    """
    text = orjson.dumps(details).decode()
    if len(text) > DETAILS_CHARACTERS:
        text = orjson.dumps({"left_out": f"{len(text)} characters"}).decode()
    return AuditRow(time.time_ns() // 1000, actor.via, actor.who, name, target, outcome, text)
