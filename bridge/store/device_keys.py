"""Keys of devices, as they are kept: wrapped, so that the store's file alone opens nothing.

A device's key is *next* from when it is made until the device has used it, *active* while it is
the newest that the device has used, *retiring* when a newer one took its place, and *revoked* in
the end. What a device has not used yet takes nothing away from the key that it has: so a rotation
that never reaches the device locks nobody out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from bridge.store import sealed_windows
from bridge.store.audit import AuditRow
from bridge.store.claims import TakenClaim

DEVICE_KEYS_KEPT: Final = 1_000_000
"""Keys of all devices, revoked ones too: each bridge holds them in memory."""

KEYS_PER_DEVICE: Final = 16
"""Keys kept of one device; the oldest revoked ones go first."""

KeyState: TypeAlias = Literal["next", "active", "retiring", "revoked"]

TABLE: Final = (
    """
    CREATE TABLE device_key (
        device TEXT NOT NULL,
        key_id INTEGER NOT NULL CHECK (key_id BETWEEN 0 AND 4294967295),
        algorithm INTEGER NOT NULL,
        wrapped BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'revoked')),
        changed_at INTEGER NOT NULL,
        PRIMARY KEY (device, key_id)
    ) STRICT, WITHOUT ROWID
    """,
)
"""Statements that make the table."""

SCHEMA: Final = (*TABLE, *sealed_windows.TABLE)
"""Statements that make everything that sealed payloads need."""

FORGOTTEN: Final = (
    """
    CREATE TABLE forgotten_key (
        device TEXT PRIMARY KEY,
        key_id INTEGER NOT NULL,
        forgotten_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)
"""Statements that make the table of devices that had keys, and may send in clear again: the highest
id that each ever had, so that none is given again, and when it was forgotten."""

COLUMNS: Final = "device, key_id, algorithm, wrapped, created_at, state, changed_at"
"""Of the table, as a row has them."""


class StoredDeviceKey(NamedTuple):
    """One key of one device.

    Attributes:
        device: Whose it is.
        key_id: From 0 to 2^32 - 1; a device is never given one twice.
        algorithm: Number of the AEAD that it is used with (docs/sealed-payloads.md).
        wrapped: The key, as `bridge.security.key_wrapping` wraps it; empty once it is revoked.
        created_at: When it was made, in µs since the epoch.
        state: Whether it opens anything.
        changed_at: When it came into that state, in µs since the epoch.
    """

    device: str
    key_id: int
    algorithm: int
    wrapped: bytes
    created_at: int
    state: KeyState
    changed_at: int

    def __repr__(self) -> str:
        """Return the key without what is wrapped: logs and tracebacks show this."""
        return f"StoredDeviceKey({self.device!r}, {self.key_id}, {self.state})"


class DeviceKeys(Protocol):
    """The keys of all devices. Every change is durable on return.

    All methods may raise `StoreUnavailable` or `StoreCorrupt`, as those of the store do.
    """

    def changed_since(self, at: int) -> list[str]:
        """Return the devices whose keys have changed, or were forgotten, since a time in µs."""

    def next_id(self, device: str) -> int:
        """Return the id for the next key of a device: one above all that it ever had."""

    def install(
        self,
        device: str,
        key_id: int,
        algorithm: int,
        wrapped: bytes,
        now: int,
        taking: TakenClaim | None = None,
        act: AuditRow | None = None,
    ) -> StoredDeviceKey | None:
        """Keep a new key: as the active one of a device that has none that is valid, else as next.

        An older next one, which the device has never used, is revoked.

        Args:
            device: Whose it is.
            key_id: As `next_id` gave it.
            algorithm: Number of its AEAD.
            wrapped: The key, wrapped.
            now: In µs since the epoch.
            taking: The device's claim, which is taken in the same transaction.
            act: Written into the audit trail in the same transaction.

        Returns:
            What is kept; None where the id is taken, as many keys are kept as may be, or the claim
            cannot be taken any more.
        """

    def find(self, device: str, key_id: int) -> StoredDeviceKey | None:
        """Return a key of a device, None where there is none of that id."""

    def of_device(self, device: str) -> list[StoredDeviceKey]:
        """Return all keys of a device, the newest first."""

    def list_all(self) -> list[StoredDeviceKey]:
        """Return the keys of all devices by device, the newest of each first."""

    def rewrap(
        self, wrapped: Mapping[tuple[str, int], bytes], identity: bytes | None, act: AuditRow
    ) -> None:
        """Replace what is wrapped, all of it or nothing: the wrapping key has been changed.

        Args:
            wrapped: By device and key id, the key as it is wrapped now.
            identity: The bridge's own private key, wrapped; None leaves it as it is.
            act: Written into the audit trail in the same transaction.
        """

    def activate(self, device: str, key_id: int, now: int, act: AuditRow | None = None) -> bool:
        """Make a next key the active one, as the first message does that is sealed with it.

        Where it is done, the act is written into the audit trail in the same transaction.

        Returns:
            Whether there was a next key of that id.
        """

    def revoke(self, device: str, key_id: int | None, now: int, act: AuditRow | None = None) -> int:
        """Revoke one key of a device, or, without an id, all that it has; what is wrapped goes.

        A device of which all keys are revoked stays known: it may not send in clear either. Where
        any was revoked, the act is written into the audit trail in the same transaction.

        Returns:
            How many were revoked that were not before.
        """

    def forget(self, device: str, now: int, act: AuditRow | None = None) -> int | None:
        """Forget that a device had keys: it may send in clear again. Its key ids stay used up.

        Where anything was forgotten, the act is written into the audit trail in the same
        transaction.

        Returns:
            How many keys are forgotten; None, and nothing is, where one of them is valid.
        """


def prove_keys(connection: sqlite3.Connection, proven: Sequence[tuple[str, int, int]]) -> int:
    """Make keys that devices have now used the active ones, inside the caller's transaction.

    The one that was active retires, one that was retiring before is revoked.

    Args:
        connection: The owner of the store.
        proven: Device, key id, and when, in µs since the epoch.

    Returns:
        How many of them were next before.
    """
    activated = 0
    for device, key_id, now in proven:
        row = connection.execute(
            "SELECT 1 FROM device_key WHERE device = ? AND key_id = ? AND state = 'next'",
            (device, key_id),
        ).fetchone()
        if row is None:
            continue  # It is proven already, or was revoked meanwhile.
        activated += 1
        revoke_keys(connection, "device = ? AND state = 'retiring'", (device,), now)
        for before, after in (("active", "retiring"), ("next", "active")):
            connection.execute(
                "UPDATE device_key SET state = ?, changed_at = ? WHERE device = ? AND state = ?",
                (after, now, device, before),
            )
    return activated


def revoke_keys(
    connection: sqlite3.Connection, where: str, parameters: tuple[str | int, ...], now: int
) -> int:
    """Revoke keys inside the caller's transaction; returns how many."""
    revoked = connection.execute(
        "UPDATE device_key SET state = 'revoked', wrapped = x'', changed_at = ? "  # noqa: S608
        f"WHERE {where} RETURNING device, key_id",
        (now, *parameters),
    ).fetchall()
    # What it has sealed never opens again: nothing is left to be told from a repeat.
    sealed_windows.forget_windows(connection, revoked)
    return len(revoked)
