"""Claims for enrolment, as they are kept: whose they are, and what became of them.

Of a claim's secret nothing is kept but the public key that belongs to it, so that the store is of
no use to who wants to enrol. A claim ends when it is taken, when its time is over, or when it is
withdrawn; it is then kept for a while, for the operator to see.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple, Protocol

from bridge.store.audit import AuditRow

CLAIMS_KEPT: Final = 10_000
"""Claims, ended ones too: a batch of new devices, and what was made in the last weeks."""

ENDED_KEPT_US: Final = 30 * 86_400 * 1_000_000
"""How long an ended claim is kept."""

SCHEMA: Final = (
    """
    CREATE TABLE claim (
        id TEXT PRIMARY KEY,
        device TEXT NOT NULL,
        kem INTEGER NOT NULL,
        algorithm INTEGER NOT NULL,
        public_key BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        taken_at INTEGER,
        taken_by BLOB,
        key_id INTEGER,
        withdrawn_at INTEGER,
        refused INTEGER NOT NULL DEFAULT 0,
        refused_at INTEGER,
        refusal TEXT
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE identity (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        public_key BLOB NOT NULL,
        wrapped BLOB NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT
    """,
)
"""Statements that make the tables."""

OPEN: Final = "taken_at IS NULL AND withdrawn_at IS NULL"
"""Condition for a claim that has not ended otherwise than by its time."""


class StoredClaim(NamedTuple):
    """One claim.

    Attributes:
        id: Names it, in hexadecimal digits; no secret.
        device: For which device it is.
        kem: Number of the mechanism that the device's key is sealed with (docs/enrolment.md).
        algorithm: Number of the AEAD that the device's key will be used with.
        public_key: Of the claim; what is signed with the claim is checked with it.
        created_at: When it was made, in µs since the epoch.
        expires_at: From when on it is not taken any more.
        taken_at: When a device has taken it, or None.
        taken_by: SHA-256 of the public key that the device took it with.
        key_id: Of the key that the device was given.
        withdrawn_at: When it was withdrawn, or None.
        refused: How many requests under it were refused.
        refused_at: When the last of them was.
        refusal: Short name of the last refusal.
    """

    id: str
    device: str
    kem: int
    algorithm: int
    public_key: bytes
    created_at: int
    expires_at: int
    taken_at: int | None = None
    taken_by: bytes | None = None
    key_id: int | None = None
    withdrawn_at: int | None = None
    refused: int = 0
    refused_at: int | None = None
    refusal: str | None = None


class StoredIdentity(NamedTuple):
    """The key pair that the bridge signs its answers with.

    Attributes:
        public_key: What devices know.
        wrapped: The private key, wrapped as those of devices are.
        created_at: When it was made, in µs since the epoch.
    """

    public_key: bytes
    wrapped: bytes
    created_at: int

    def __repr__(self) -> str:
        """Return it without what is wrapped: logs and tracebacks show this."""
        return f"StoredIdentity({self.public_key.hex()})"


class TakenClaim(NamedTuple):
    """A claim that is to be taken, in the transaction that keeps the device's key.

    Attributes:
        id: Which.
        taken_by: SHA-256 of the public key that the device asks with.
    """

    id: str
    taken_by: bytes


class Claims(Protocol):
    """The claims, and the bridge's identity. Every change is durable on return.

    All methods may raise `StoreUnavailable` or `StoreCorrupt`, as those of the store do. A claim is
    taken by `DeviceKeys.install`.
    """

    def add(self, claim: StoredClaim, act: AuditRow | None = None) -> bool:
        """Keep a new claim; False where as many are kept as may be. Old ended ones go.

        Args:
            claim: The claim.
            act: Written into the audit trail in the same transaction, where it was done.
        """

    def find(self, claim_id: str) -> StoredClaim | None:
        """Return a claim, None where there is none of that id."""

    def list_all(self) -> list[StoredClaim]:
        """Return all claims, the newest first."""

    def withdraw(self, claim_id: str, now: int, act: AuditRow | None = None) -> bool:
        """End a claim that nobody has taken; False where it was taken, or there is none.

        Args:
            claim_id: Which.
            now: In µs since the epoch.
            act: As for `add`.
        """

    def note_refusal(self, claim_id: str, error: str, now: int) -> None:
        """Count a refused request, for the operator; nothing where there is no such claim."""

    def identity(self) -> StoredIdentity | None:
        """Return the bridge's identity, None where there is none yet."""

    def keep_identity(self, identity: StoredIdentity) -> StoredIdentity:
        """Keep an identity unless there is one; returns the one that there is then."""


def take_claim(
    connection: sqlite3.Connection, claim: TakenClaim, device: str, key_id: int, now: int
) -> bool:
    """Take a claim, inside the caller's transaction; False where it cannot be taken (any more)."""
    return (
        connection.execute(
            "UPDATE claim SET taken_at = ?1, taken_by = ?2, key_id = ?3 "  # noqa: S608
            f"WHERE id = ?4 AND device = ?5 AND expires_at > ?1 AND {OPEN}",
            (now, claim.taken_by, key_id, claim.id, device),
        ).rowcount
        > 0
    )


def withdraw_open_claims(connection: sqlite3.Connection, now: int) -> None:
    """End all claims that nobody has taken, inside the caller's transaction: after a restore.

    They may have been taken since the backup was made.
    """
    connection.execute(
        f"UPDATE claim SET withdrawn_at = ? WHERE {OPEN}",  # noqa: S608 - a constant
        (now,),
    )
