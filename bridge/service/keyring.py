"""The keys of devices in the memory of a bridge: who has one, what opens, what seals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bridge.config import SealingConfig
from bridge.core.readers import NO_READERS, Readers
from bridge.errors import ConfigError, KeyWrappingError
from bridge.logs import RateLimited, get_logger
from bridge.security.key_wrapping import KeyWrapper
from bridge.security.sealing import DeviceKey
from bridge.store.base import Store
from bridge.store.device_keys import StoredDeviceKey

_MICROSECONDS_PER_DAY: Final = 86_400 * 1_000_000

_OPENS: Final = ("active", "next", "retiring")

_log = get_logger("bridge.sealing")


class Keyring:
    """All keys of a store. Changed between batches only, by whoever has changed the store.

    Args:
        wrapper: Unwraps them.
        overlap_days: How long a key opens that another one has replaced.
        clock: The bridge's clock, in µs since the epoch.
        refuse_clear: What concerns a device that has a key must be sealed.
        readers: Which groups read which states. The key of a group seals these, and opens nothing:
            all of its members have it, and none of them could be told from another.

    Attributes:
        readers: As given.
        refuse_clear: As given.
        wrapper: As given.
    """

    def __init__(
        self,
        wrapper: KeyWrapper,
        overlap_days: int,
        clock: Callable[[], int],
        *,
        refuse_clear: bool = True,
        readers: Readers = NO_READERS,
    ) -> None:
        self.readers: Final = readers
        self.wrapper: Final = wrapper
        self.refuse_clear: Final = refuse_clear
        self._overlap_us = overlap_days * _MICROSECONDS_PER_DAY
        self._clock = clock
        self._log = RateLimited(_log, time.monotonic)
        self._rows: dict[str, Sequence[StoredDeviceKey]] = {}
        self._unwrapped: dict[tuple[str, int], DeviceKey] = {}
        self._opening: dict[str, list[DeviceKey]] = {}
        self._next: set[tuple[str, int]] = set()
        self._keyless: set[str] = set()

    def __len__(self) -> int:
        """Devices that have, or had, a key, and are not forgotten."""
        return len(self._rows)

    def __contains__(self, device: str) -> bool:
        """Tell whether a device has, or had, a key, and is not forgotten."""
        return device in self._rows

    def devices(self) -> list[str]:
        """Return all that have, or had, a key."""
        return [*self._rows]

    def load(self, rows: Iterable[StoredDeviceKey]) -> None:
        """Take over all keys of a store."""
        by_device: dict[str, list[StoredDeviceKey]] = {}
        for row in rows:
            by_device.setdefault(row.device, []).append(row)
        for device, kept in by_device.items():
            self.replace(device, kept)

    def replace(self, device: str, rows: Sequence[StoredDeviceKey]) -> None:
        """Take over the keys of a device, after they have changed in the store."""
        for row in self._rows.get(device, ()):
            self._unwrapped.pop((device, row.key_id), None)
            self._next.discard((device, row.key_id))
        self._opening.pop(device, None)
        self._keyless.discard(device)
        self._next.update((device, row.key_id) for row in rows if row.state == "next")
        if rows:
            self._rows[device] = rows
        else:
            self._rows.pop(device, None)

    def opening(self, device: str) -> list[DeviceKey]:
        """Return the keys that open what a device sends; none of a group, which never sends."""
        if device in self.readers.groups:
            return []
        known = self._opening.get(device)
        if known is not None:
            return known
        rows = self._rows.get(device, ())
        keys = (self._key(row) for row in rows if self._opens(row))
        opening = [key for key in keys if key is not None]
        # One that retires ends by the clock.
        if not any(row.state == "retiring" for row in rows):
            self._opening[device] = opening
        return opening

    def sealing(self, device: str) -> DeviceKey | None:
        """Return the key that seals what goes to a device or a group: its active one."""
        rows = self._rows.get(device, ())
        row = next((row for row in rows if row.state == "active"), None)
        return None if row is None else self._key(row)

    def note_keyless(self, group: str) -> None:
        """Say once that a group has no key that states could be sealed with."""
        if group not in self._keyless:
            self._keyless.add(group)
            _log.warning(
                "a group of readers has no valid key: what is retained for it is cleared",
                group=group,
                hint=f"make one: syncbridge keys create {group}",
            )

    def is_next(self, device: str, key_id: int) -> bool:
        """Tell whether a key is one that its device has not used before."""
        return (device, key_id) in self._next

    def _opens(self, row: StoredDeviceKey) -> bool:
        if row.state == "retiring":
            return self._clock() < row.changed_at + self._overlap_us
        return row.state in _OPENS

    def _key(self, row: StoredDeviceKey) -> DeviceKey | None:
        place = (row.device, row.key_id)
        key = self._unwrapped.get(place)
        if key is None:
            try:
                key = self.wrapper.unwrap(row.device, row.key_id, row.algorithm, row.wrapped)
            except KeyWrappingError as error:
                # Of one row that was tampered with: all others go on.
                self._log.warning(error.message, row.device, hint=error.hint)
                return None
            self._unwrapped[place] = key
        return key


def make_keyring(config: SealingConfig, store: Store, clock: Callable[[], int]) -> Keyring | None:
    """Read the keys of a store, and see that they can be unwrapped; None where none can be had.

    Raises:
        ConfigError: The wrapping key cannot be read; or there are keys, and it is not set.
        KeyWrappingError: It is not the one that they were wrapped with.
    """
    rows = store.device_keys.list_all()
    wrapping_key = config.read_wrapping_key()
    if wrapping_key is None:
        if config.readers.table:
            raise ConfigError(
                "groups of readers are named, and there is no key to wrap keys with: no state "
                "could be sealed for them",
                field="sealing.readers",
                hint="set sealing.wrapping_key_file, or sealing.wrapping_key in the environment",
            )
        if rows:
            raise ConfigError(
                f"the store holds keys of devices ({len(rows)}), and there is no key to unwrap "
                "them with: what these devices send could not be opened",
                field="sealing.wrapping_key_file",
                hint="set sealing.wrapping_key_file, or sealing.wrapping_key in the environment",
            )
        return None
    keyring = Keyring(
        KeyWrapper(wrapping_key),
        config.overlap_days,
        clock,
        refuse_clear=config.refuse_clear,
        readers=config.readers,
    )
    keyring.load(rows)
    first = next((row for row in rows if row.state in _OPENS), None)
    if first is not None:
        keyring.wrapper.unwrap(first.device, first.key_id, first.algorithm, first.wrapped)
    if rows:
        _log.info("sealed payloads are opened", devices=len(keyring))
    if rows and not config.refuse_clear:
        _log.warning(
            "what devices with a key send in clear is accepted: anyone at the broker can speak "
            "for them",
            hint="set sealing.refuse_clear to true once all of them seal",
        )
    for group in sorted(config.readers.groups):
        if keyring.sealing(group) is None:
            keyring.note_keyless(group)
    return keyring
