"""The Unix socket beside a store."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from bridge.errors import AdminError, AdminUnreachable

PATH_BYTES_MAX = 107
"""Longest path of a socket: `sun_path` has 108 bytes, the last of them zero (unix(7))."""

CONNECT_TIMEOUT_S = 5.0
"""Longest wait for a connection: both ends are on the same machine."""


def socket_path(store_path: Path) -> Path:
    """Return where the socket of a store's bridge is.

    Raises:
        AdminError: The path is too long for a socket.
    """
    resolved = store_path.resolve()
    path = resolved.with_name(resolved.name + ".sock")
    length = len(os.fsencode(path))
    if length > PATH_BYTES_MAX:
        raise AdminError(
            f"the administration socket {path} would have a path of {length} bytes; "
            f"a socket's path has {PATH_BYTES_MAX} at most",
            hint="keep the store in a directory with a shorter path",
        )
    return path


def listen(path: Path) -> socket.socket:
    """Listen on a socket that only its owner may use; one that a dead process left is replaced.

    Raises:
        AdminError: Somebody listens there, something else is there, or it cannot be made.
    """
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        # Nobody can connect before it listens, so that there is no moment of wider access.
        path.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AdminError(
            f"the administration socket {path} cannot be made: {error.strerror}",
            hint="the bridge's user needs to write in that directory",
        ) from error
    return listener


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AdminError(f"{path} is in the way of the administration socket", hint="move it away")
    if _connect(path) != errno.ECONNREFUSED:
        raise AdminError(
            f"another bridge answers on the administration socket {path}",
            hint="stop it, or use another store",
        )
    path.unlink(missing_ok=True)


def probe(path: Path) -> None:
    """Find out whether somebody listens.

    Raises:
        AdminUnreachable: Nobody does, or nobody whom this user may ask.
    """
    result = _connect(path)
    if result:
        raise AdminUnreachable(
            f"no bridge answers on {path}: {os.strerror(result)}",
            hint="start it with `syncbridge run`, as the same user",
        )


def _connect(path: Path) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_TIMEOUT_S)
        return connection.connect_ex(str(path))
