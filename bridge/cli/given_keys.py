"""The option `--key`: keys to seal with, and to open what is sealed for those who have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bridge.core.topics import TwinKey
from bridge.device.payload import UnreadableError
from bridge.wire.wrappers import is_sealed

if TYPE_CHECKING:
    from bridge.security.sealing import DeviceKey

BOOTS_KEPT: Final = 10_000
"""Derived keys of a watched fleet: one for each topic."""

_FILE: Final = click.Path(dir_okay=False, path_type=Path)

key_option = click.option(
    "--key",
    "key_file",
    type=_FILE,
    metavar="FILE",
    help="Seal with the key in FILE, under its name, and open the reply.",
)
keys_option = click.option(
    "--key",
    "key_files",
    type=_FILE,
    metavar="FILE",
    multiple=True,
    help="Open what is sealed for the key in FILE; may be repeated.",
)


def read_key(path: Path) -> DeviceKey:
    """Read the file of a `--key`.

    Raises:
        ConfigError: It cannot be read, others have rights on it, or it holds no key.
    """
    # Only here: most calls have nothing to do with OpenSSL.
    from bridge.device.key_file import read_device_key

    return read_device_key(path, "--key")


class GivenKeys:
    """Opens what the bridge has retained.

    Args:
        keys: Those of devices, which open what is theirs, and of groups, which open states.
    """

    def __init__(self, keys: Sequence[DeviceKey] = ()) -> None:
        self._keys = tuple(keys)
        self._open_with = _opener() if keys else None

    def open(self, key: TwinKey, verb: str, topic: str, payload: bytes) -> bytes:
        """Return what a topic holds in clear; as it is, where it is sealed for somebody else.

        Raises:
            UnreadableError: It is in clear, and the key of its device was given: it may be from
                anyone.
        """
        open_with = self._open_with
        if open_with is None:
            return payload
        own = [given for given in self._keys if given.device == key.device]
        others = [given for given in self._keys if given.device != key.device]
        for given in (*own, *others) if verb == "state" else own:
            opened = open_with(payload, given, topic)
            if opened is not None:
                return opened
        if own and not is_sealed(payload):
            raise UnreadableError(f"it is in clear, and not sealed for the key of {key.device}")
        return payload


def _opener() -> Callable[[bytes, DeviceKey, str], bytes | None]:
    from bridge.security.sealing import Opened, Opener

    opener = Opener(BOOTS_KEPT)

    def open_with(payload: bytes, key: DeviceKey, topic: str) -> bytes | None:
        opened = opener.open(payload, [key], "down", topic)
        return opened.payload if isinstance(opened, Opened) else None

    return open_with


NO_KEYS: Final = GivenKeys()
"""Opens nothing."""
