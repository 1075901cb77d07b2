"""The claims in SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bridge.store.audit import AuditRow, write_acts
from bridge.store.claims import CLAIMS_KEPT, ENDED_KEPT_US, OPEN, StoredClaim, StoredIdentity
from bridge.store.connection import transaction, translated

_SELECT = (
    "SELECT id, device, kem, algorithm, public_key, created_at, expires_at, taken_at, taken_by, "
    "key_id, withdrawn_at, refused, refused_at, refusal FROM claim"
)


class SqliteClaims:
    """The tables of claims and of the bridge's identity; see `bridge.store.claims.Claims`.

    Args:
        connection: The owner of the store.
        path: The store's file, for messages.
        audit_acts: How many acts the audit trail keeps.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, audit_acts: int) -> None:
        self._audit_acts = audit_acts
        self._connection = connection
        self._path = path

    def add(self, claim: StoredClaim, act: AuditRow | None = None) -> bool:
        """Keep a new claim; False where as many are kept as may be. Old ended ones go."""
        with translated(self._path, "writing to"), transaction(self._connection):
            self._connection.execute(
                "DELETE FROM claim WHERE coalesce(taken_at, withdrawn_at, expires_at) < ?",
                (claim.created_at - ENDED_KEPT_US,),
            )
            (count,) = self._connection.execute("SELECT count(*) FROM claim").fetchone()
            if count >= CLAIMS_KEPT:
                return False
            places = ", ".join("?" * len(claim))
            self._connection.execute(f"INSERT INTO claim VALUES ({places})", claim)  # noqa: S608
            self._write(act)
        return True

    def find(self, claim_id: str) -> StoredClaim | None:
        """Return a claim, None where there is none of that id."""
        with translated(self._path, "reading"):
            row = self._connection.execute(f"{_SELECT} WHERE id = ?", (claim_id,)).fetchone()
        return None if row is None else StoredClaim(*row)

    def list_all(self) -> list[StoredClaim]:
        """Return all claims, the newest first."""
        with translated(self._path, "reading"):
            rows = self._connection.execute(f"{_SELECT} ORDER BY created_at DESC, id")
            return [StoredClaim(*row) for row in rows]

    def withdraw(self, claim_id: str, now: int, act: AuditRow | None = None) -> bool:
        """End a claim that nobody has taken; False where it has ended, or there is none."""
        with translated(self._path, "writing to"), transaction(self._connection):
            ended = self._connection.execute(
                f"UPDATE claim SET withdrawn_at = ? WHERE id = ? AND {OPEN}",  # noqa: S608
                (now, claim_id),
            ).rowcount
            if ended:
                self._write(act)
        return ended > 0

    def _write(self, act: AuditRow | None) -> None:
        if act is not None:
            write_acts(self._connection, [act], self._audit_acts)

    def note_refusal(self, claim_id: str, error: str, now: int) -> None:
        """Count a refused request, for the operator; nothing where there is no such claim."""
        with translated(self._path, "writing to"), transaction(self._connection):
            self._connection.execute(
                "UPDATE claim SET refused = refused + 1, refused_at = ?, refusal = ? WHERE id = ?",
                (now, error, claim_id),
            )

    def identity(self) -> StoredIdentity | None:
        """Return the bridge's identity, None where there is none yet."""
        with translated(self._path, "reading"):
            row = self._connection.execute(
                "SELECT public_key, wrapped, created_at FROM identity"
            ).fetchone()
        return None if row is None else StoredIdentity(*row)

    def keep_identity(self, identity: StoredIdentity) -> StoredIdentity:
        """Keep an identity unless there is one; returns the one that there is then."""
        with translated(self._path, "writing to"), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO identity VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING", identity
            )
        return self.identity() or identity
