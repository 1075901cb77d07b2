"""What a session may be made of."""

from __future__ import annotations

from bridge.core.topics import is_name
from bridge.device.retry import RETRY_MAX_S

BOOT_LENGTH = 32
"""Characters of `boot`: it stands in `$.id` too, which has room for 64."""

WINDOW_MAX = 15
"""Reports in flight at most: the bridge remembers 16 gaps per boot."""


def check_arguments(
    device_id: str, boot: str, name: str, window: int, capacity: int, retry_after_s: float
) -> None:
    """Raise ValueError for one that is out of its range."""
    check_names(device_id, name)
    if not 1 <= len(boot) <= BOOT_LENGTH or not (boot.isascii() and boot.isalnum()):
        raise ValueError(f"boot {boot!r}: 1 to {BOOT_LENGTH} ASCII letters and digits")
    if not 1 <= window <= WINDOW_MAX:
        raise ValueError(f"window {window}: 1 to {WINDOW_MAX} reports")
    if capacity < window:
        raise ValueError(f"capacity {capacity}: at least as many reports as window, {window}")
    if not 0 < retry_after_s <= RETRY_MAX_S:
        raise ValueError(f"retry_after_s {retry_after_s}: more than 0, at most {RETRY_MAX_S:g}")


def check_names(device_id: str, name: str) -> None:
    """Check an id as a requester's too, which is stricter: a device asks in its own name."""
    if not is_name(device_id):
        raise ValueError(
            f"device id {device_id!r}: 1 to 128 of A-Z a-z 0-9 . _ : @ ~ -, not starting with a "
            "dot, and not a verb of the protocol"
        )
    if name and not is_name(name):
        raise ValueError(f"twin's name {name!r}: as a device id")
