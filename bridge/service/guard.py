"""Holds requests against the permissions (design section 8). The sender is whom the topic names.

What a sender may never do to a twin is refused before the twin is looked at: such a message leaves
nothing behind, not even the memory of its number. An update that touches a path which its writer
may not write, beside others that it may, is refused whole and counts as received.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.config import Config, read_permissions
from bridge.core.access import Access, forbidden_path
from bridge.core.orders import Deletion
from bridge.core.paths import path_text
from bridge.core.permissions import Permissions
from bridge.core.refusal import Refusal
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Update
from bridge.logs import get_logger
from bridge.service.requests import Request
from bridge.wire.inbound import GetRequest

SHOWN_CHARACTERS: Final = 200
"""Characters of a path that a refusal shows: whoever writes has chosen it."""

_EXPLAIN: Final = "`syncbridge permissions explain` says why"


_log = get_logger("bridge.permissions")


class Guard:
    """Refuses what is not permitted.

    Args:
        permissions: Who may do what.

    Attributes:
        permissions: Those in force.
        on_change: Called after others have come into force; None where nobody wants to know.
    """

    def __init__(self, permissions: Permissions) -> None:
        self.on_change: Callable[[], None] | None = None
        self._put_in_force(permissions)

    def _put_in_force(self, permissions: Permissions) -> None:
        self.permissions = permissions
        self._permissions = permissions
        self._reports_are_free = permissions.reports_are_free

    def replace(self, permissions: Permissions) -> None:
        """Put other permissions in force, from the next question on."""
        self._put_in_force(permissions)
        if self.on_change is not None:
            self.on_change()

    def access(self, request: Request) -> Access:
        """Return what the sender of a request may do with its twin."""
        return self._permissions.access(request.topic.sender, request.topic.key)

    def lets_report(self, key: TwinKey) -> bool:
        """Tell whether a device may report whatever it likes in a twin of its own."""
        if self._reports_are_free:
            return True
        return self._permissions.access(key.device, key).grant("reported", "write").is_whole

    def admit(self, request: Request) -> Request:
        """Refuse what its sender may do in no case, whatever the twin holds."""
        order = request.order
        access = self.access(request)
        if isinstance(order, Update):
            verb = "write anything"
            where = f"in {order.section} of"
            is_allowed = access.grant(order.section, "write").is_some
        elif isinstance(order, GetRequest):
            verb, where, is_allowed = "read", "anything of", access.reads_some
        elif isinstance(order, Deletion):
            verb, where, is_allowed = "delete", "the twin", access.deletes
        else:
            return request
        if is_allowed:
            return request
        refusal = _forbidden(request.topic.sender, f"{verb} {where} {request.topic.key}")
        return request._replace(order=None, refusal=refusal)

    def judge(self, order: Update, twin: Twin) -> Update:
        """Mark an update as refused that touches a path which its writer may not write."""
        if order.refusal is not None:
            return order
        grant = self._permissions.access(order.writer, order.key).grant(order.section, "write")
        value = twin.section(order.section).value
        path = forbidden_path(grant, value, order.patch, full=order.metadata.full)
        if path is None:
            return order
        text = path_text((order.section, *path))
        if len(text) > SHOWN_CHARACTERS:
            text = text[:SHOWN_CHARACTERS] + "…"
        return order._replace(refusal=_forbidden(order.writer, f"write {text} of {order.key}"))

    def judge_deletion(self, order: Deletion, key: TwinKey) -> Refusal | None:
        """Return why somebody may not delete a twin, or None."""
        if self._permissions.access(order.writer, key).deletes:
            return None
        return _forbidden(order.writer, f"delete the twin {key}")

    def concealed(self, refusal: Refusal, request: Request) -> Refusal:
        """Return a refusal without what its receiver may not read: a conflict's value."""
        if refusal.error != "conflict" or self.access(request).reads_all:
            return refusal
        return refusal._replace(
            message="what this update would change was changed by a writer that it had not seen: "
            "get the twin, and decide again"
        )


def make_guard(config: Config) -> Guard | None:
    """Read the permissions, and say what they are; None where there are none.

    Raises:
        ConfigError: The file cannot be read, or something in it is not allowed.
    """
    file = config.permissions.file
    if file is None:
        _log.info("no permissions are configured: whoever may publish may do everything")
        return None
    permissions = read_permissions(file, config.limits.to_core())
    announce(permissions, file)
    return Guard(permissions)


def announce(permissions: Permissions, file: Path) -> None:
    """Say in the log which permissions are in force."""
    if permissions.default == "development":
        _log.warning(
            "the permissions are those of development: what no rule denies is allowed",
            file=str(file),
            hint="default: deny allows only what a rule allows",
        )
    else:
        _log.info("permissions are in force", file=str(file), rules=len(permissions.rules))


def _forbidden(sender: str, what: str) -> Refusal:
    return Refusal(403, "forbidden", f"{sender} may not {what}: {_EXPLAIN}")
