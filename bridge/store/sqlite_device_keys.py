"""The keys of devices in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from bridge.store.audit import AuditRow, write_acts
from bridge.store.claims import TakenClaim, take_claim
from bridge.store.connection import transaction, translated
from bridge.store.device_keys import (
    COLUMNS,
    DEVICE_KEYS_KEPT,
    KEYS_PER_DEVICE,
    KeyState,
    StoredDeviceKey,
    prove_keys,
    revoke_keys,
)

_SELECT = f"SELECT {COLUMNS} FROM device_key"  # noqa: S608 - names of columns


class SqliteDeviceKeys:
    """The table of keys; see `bridge.store.device_keys.DeviceKeys`.

    Args:
        connection: The owner of the store.
        path: The store's file, for messages.
        audit_acts: Acts kept in the audit trail.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, audit_acts: int) -> None:
        self._connection = connection
        self._path = path
        self._audit_acts = audit_acts

    def changed_since(self, at: int) -> list[str]:
        """Return the devices whose keys have changed, or were forgotten, since a time in µs."""
        with translated(self._path, "reading"):
            return [
                device
                for (device,) in self._connection.execute(
                    "SELECT device FROM device_key WHERE changed_at >= ?1 "
                    "UNION SELECT device FROM forgotten_key WHERE forgotten_at >= ?1",
                    (at,),
                )
            ]

    def next_id(self, device: str) -> int:
        """Return the id for the next key of a device: one above all that it ever had."""
        with translated(self._path, "reading"):
            return self._next_id(device)

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
        """Keep a new key: as the active one of a device that has none that is valid."""
        with translated(self._path, "writing to"), transaction(self._connection):
            kept = self.of_device(device)
            if key_id < self._next_id(device) or self._is_full():
                return None
            if taking and not take_claim(self._connection, taking, device, key_id, now):
                return None
            is_first = not any(key.state in ("active", "retiring") for key in kept)
            state: KeyState = "active" if is_first else "next"
            revoke_keys(self._connection, "device = ? AND state = 'next'", (device,), now)
            row = StoredDeviceKey(device, key_id, algorithm, wrapped, now, state, now)
            self._connection.execute(
                f"INSERT INTO device_key ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                row,
            )
            self._trim(device)
            self._connection.execute("DELETE FROM forgotten_key WHERE device = ?", (device,))
            write_acts(self._connection, [act] if act else (), self._audit_acts)
        return row

    def find(self, device: str, key_id: int) -> StoredDeviceKey | None:
        """Return a key of a device, None where there is none of that id."""
        with translated(self._path, "reading"):
            row = self._connection.execute(
                f"{_SELECT} WHERE device = ? AND key_id = ?", (device, key_id)
            ).fetchone()
        return None if row is None else StoredDeviceKey(*row)

    def of_device(self, device: str) -> list[StoredDeviceKey]:
        """Return all keys of a device, the newest first."""
        with translated(self._path, "reading"):
            rows = self._connection.execute(
                f"{_SELECT} WHERE device = ? ORDER BY key_id DESC", (device,)
            )
            return [StoredDeviceKey(*row) for row in rows]

    def list_all(self) -> list[StoredDeviceKey]:
        """Return the keys of all devices by device, the newest of each first."""
        with translated(self._path, "reading"):
            rows = self._connection.execute(f"{_SELECT} ORDER BY device, key_id DESC")
            return [StoredDeviceKey(*row) for row in rows]

    def rewrap(
        self, wrapped: Mapping[tuple[str, int], bytes], identity: bytes | None, act: AuditRow
    ) -> None:
        """Replace what is wrapped, all of it or nothing: the wrapping key has been changed."""
        with translated(self._path, "writing to"), transaction(self._connection):
            self._connection.executemany(
                "UPDATE device_key SET wrapped = ? WHERE device = ? AND key_id = ?",
                ((now_wrapped, *place) for place, now_wrapped in wrapped.items()),
            )
            if identity is not None:
                self._connection.execute("UPDATE identity SET wrapped = ?", (identity,))
            write_acts(self._connection, [act], self._audit_acts)

    def activate(self, device: str, key_id: int, now: int, act: AuditRow | None = None) -> bool:
        """Make a next key the active one, as the first message does that is sealed with it."""
        with translated(self._path, "writing to"), transaction(self._connection):
            activated = prove_keys(self._connection, [(device, key_id, now)])
            write_acts(self._connection, [act] if act and activated else (), self._audit_acts)
            return activated > 0

    def revoke(self, device: str, key_id: int | None, now: int, act: AuditRow | None = None) -> int:
        """Revoke one key of a device, or, without an id, all that it has; what is wrapped goes."""
        with translated(self._path, "writing to"), transaction(self._connection):
            where = "device = ? AND state <> 'revoked'"
            parameters: tuple[str | int, ...] = (device,)
            if key_id is not None:
                where, parameters = f"{where} AND key_id = ?", (device, key_id)
            revoked = revoke_keys(self._connection, where, parameters, now)
            write_acts(self._connection, [act] if act and revoked else (), self._audit_acts)
            return revoked

    def forget(self, device: str, now: int, act: AuditRow | None = None) -> int | None:
        """Forget that a device had keys: it may send in clear again. Its key ids stay used up."""
        with translated(self._path, "writing to"), transaction(self._connection):
            kept = self.of_device(device)
            if any(key.state != "revoked" for key in kept):
                return None
            if kept:
                self._connection.execute(
                    "INSERT INTO forgotten_key VALUES (?, ?, ?)", (device, kept[0].key_id, now)
                )
                for table in ("device_key", "sealed_window"):
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE device = ?",  # noqa: S608 - names of tables
                        (device,),
                    )
                write_acts(self._connection, [act] if act else (), self._audit_acts)
            return len(kept)

    def _next_id(self, device: str) -> int:
        (highest,) = self._connection.execute(
            "SELECT max(key_id) FROM (SELECT key_id FROM device_key WHERE device = ?1 "
            "UNION ALL SELECT key_id FROM forgotten_key WHERE device = ?1)",
            (device,),
        ).fetchone()
        return 1 if highest is None else int(highest) + 1

    def _is_full(self) -> bool:
        (count,) = self._connection.execute(
            "SELECT (SELECT count(*) FROM device_key) + (SELECT count(*) FROM forgotten_key)"
        ).fetchone()
        return bool(count >= DEVICE_KEYS_KEPT)

    def _trim(self, device: str) -> None:
        # The newest id stays whatever its state, so that none is given again.
        self._connection.execute(
            "DELETE FROM device_key WHERE device = ?1 AND state = 'revoked' AND key_id NOT IN "
            "(SELECT key_id FROM device_key WHERE device = ?1 ORDER BY key_id DESC LIMIT ?2)",
            (device, KEYS_PER_DEVICE),
        )
