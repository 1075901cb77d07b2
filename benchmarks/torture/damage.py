"""Damages a store, and mends it as an operator would: with the command line."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from benchmarks.torture.launch import Launch
from benchmarks.torture.victim import ENDS_WITHIN_S, Victim
from bridge.store.schema import APPLICATION_ID, CREATED_AT, INSTANCE, MIGRATIONS, new_instance
from device_sim.checker import Invariant, Violation

PAGE_BYTES: Final = 4096


def make_old_store(path: Path) -> None:
    """Make an empty store of the oldest schema."""
    connection = sqlite3.connect(path)
    try:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        facts = {INSTANCE: new_instance(), CREATED_AT: "1795000000000000"}
        connection.executemany("INSERT INTO metadata VALUES (?, ?)", facts.items())
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    finally:
        connection.close()


async def damage_and_restore(
    victim: Victim, directory: Path, poke: Callable[[], Awaitable[None]]
) -> list[Violation]:
    """Damage a page of a running bridge's store, see it refused, and restore a backup.

    Args:
        victim: The running bridge; afterwards none runs.
        directory: For the backup.
        poke: Has the bridge read its store: sends a message.

    Returns:
        What should have been otherwise.
    """
    backup = directory / "backup.db"
    await _command("backup", str(backup), "--store", str(victim.store))
    await victim.stop()
    damage_page(victim.store)
    await victim.start(Launch())
    await poke()
    status = await victim.wait_until_dead(ENDS_WITHIN_S)
    found = []
    if status in (None, 0) or "malformed" not in victim.log_end():
        detail = f"its status was {status}, and it said: {victim.log_end()[-500:]}"
        found.append(_violation("a bridge on a damaged store has to end and say so", detail))
    if status is None:
        await victim.kill()
    await _command("restore", str(backup), "--store", str(victim.store))
    return found


def damage_page(path: Path) -> None:
    """Overwrite the page that everybody passes who reads a twin."""
    connection = sqlite3.connect(path)
    try:
        row = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'twin'"
        ).fetchone()
    finally:
        connection.close()
    with path.open("r+b") as file:
        file.seek((row[0] - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)


async def check_store(path: Path) -> list[Violation]:
    """Have the store's own check look at it."""
    status, said = await _run("check", "--store", str(path))
    return [_violation("the store's check", said)] if status else []


async def _command(*words: str) -> None:
    status, said = await _run(*words)
    if status:
        raise RuntimeError(f"syncbridge store {' '.join(words)} ended with {status}: {said}")


async def _run(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", "store", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")


def _violation(what: str, detail: str) -> Violation:
    return Violation(Invariant.RETAINED_IS_STORED, "store", what, detail)
