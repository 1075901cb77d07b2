"""What a process begins with: a boot of its own, and what its messages are put into."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from bridge.core.limits import Limits
from bridge.device.envelope import CLEAR, Envelope

if TYPE_CHECKING:
    from bridge.security.sealing import DeviceKey

BOOT_BYTES = 8
"""Random bytes of a boot: two starts of one device never share it."""

SEALED_BOOT_BYTES = 16
"""The same of a device that seals: its keys are derived from it (docs/sealed-payloads.md)."""

SEAL_BYTES = 64
"""Room for a seal in a payload: it takes 52."""

KeySource: TypeAlias = "Path | str | DeviceKey"
"""A key, or the file that holds it."""

Sealing: TypeAlias = "KeySource | Sequence[KeySource]"
"""The key that seals, and perhaps others that may have sealed what comes, also for groups."""


class Beginning(NamedTuple):
    """What a session begins with.

    Attributes:
        new_boot: Returns a random boot, in hexadecimal digits.
        envelope: What its messages are put into.
        limits: The bridge's bounds, less the room that the envelope takes.
    """

    new_boot: Callable[[], str]
    envelope: Envelope
    limits: Limits


def begin(device_id: str, sealing: Sealing | None, limits: Limits) -> Beginning:
    """Return what a session of a device begins with.

    Raises:
        ConfigError: A file cannot be read, others have rights on it, or it holds no key.
        ValueError: There is no key, or the first one is not the device's own.
    """
    if sealing is None:
        return Beginning(partial(secrets.token_hex, BOOT_BYTES), CLEAR, limits)
    # Only here: who does not seal needs no OpenSSL.
    from bridge.device.key_file import read_device_key
    from bridge.device.seal import Seal
    from bridge.security.sealing import DeviceKey

    sources = [sealing] if isinstance(sealing, Path | str | DeviceKey) else [*sealing]
    keys = [
        source if isinstance(source, DeviceKey) else read_device_key(source) for source in sources
    ]
    room = replace(limits, payload_bytes=limits.payload_bytes - SEAL_BYTES)
    new_boot = partial(secrets.token_hex, SEALED_BOOT_BYTES)
    return Beginning(new_boot, Seal(device_id, keys), room)
