"""Wraps parts of the bridge from outside: fault points, the clock, a database that turns read-only.

What is wrapped is the real thing, and does what it always does: the database's refusals are
SQLite's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import bridge.store.schema as schema_module
import bridge.store.sqlite as sqlite_module
from benchmarks.torture.launch import Launch
from bridge.core.topics import TwinKey
from bridge.link.base import Message
from bridge.link.broker_link import BrokerLink
from bridge.service import Bridge
from bridge.service.clock import now_us
from bridge.store.base import CommitBatch
from bridge.store.sqlite import SqliteStore

FLUSH_S: Final = 0.02
"""What was published leaves the process within this time, before it dies unacknowledged."""

_US_PER_S: Final = 1_000_000


def install(launch: Launch) -> None:
    """Wrap what a launch names."""
    if launch.point == "inside-migration":
        _die_inside_migration(launch.count)
    elif launch.point == "inside-commit":
        _die_inside_commit(launch.count)
    elif launch.point == "after-publish":
        _die_after_publish(launch.count)
    elif launch.point is not None:
        _die_around_commit(launch.count, before=launch.point == "before-commit")
    if launch.clock_offset_s or launch.clock_step_s:
        _set_clock(launch)
    if launch.read_only_for_s:
        _turn_read_only(launch.read_only_at_s, launch.read_only_for_s)


def die() -> None:
    """End this process as a power cut would: nothing is flushed, and nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)


def _due_at(count: int) -> Callable[[], bool]:
    """Return what tells at each pass whether it is the one."""
    passes = itertools.count(1)
    return lambda: next(passes) >= count


def _changes_twins(batch: CommitBatch) -> bool:
    return bool(batch.twins)


def _die_around_commit(count: int, *, before: bool) -> None:
    commit, is_due = SqliteStore.commit, _due_at(count)

    def commit_and_die(self: SqliteStore, batch: CommitBatch) -> frozenset[TwinKey]:
        is_now = _changes_twins(batch) and is_due()
        if is_now and before:
            die()
        stale = commit(self, batch)
        if is_now:
            die()
        return stale

    SqliteStore.commit = commit_and_die  # type: ignore[method-assign]


def _die_inside_commit(count: int) -> None:
    transaction, is_due = sqlite_module.transaction, _due_at(count)

    @contextlib.contextmanager
    def transaction_and_die(connection: sqlite3.Connection) -> Iterator[None]:
        with transaction(connection):
            before = connection.total_changes
            yield
            if connection.total_changes > before and is_due():
                die()

    sqlite_module.transaction = transaction_and_die


def _die_after_publish(count: int) -> None:
    acknowledge, is_due = BrokerLink.acknowledge, _due_at(count)
    is_over = False

    def die_instead(self: BrokerLink, messages: Sequence[Message]) -> None:
        nonlocal is_over
        if not is_over and is_due():
            is_over = True
            asyncio.get_running_loop().call_later(FLUSH_S, die)
        if not is_over:
            acknowledge(self, messages)

    BrokerLink.acknowledge = die_instead  # type: ignore[method-assign]


def _die_inside_migration(statement: int) -> None:
    transaction, is_due = schema_module.transaction, _due_at(statement)

    @contextlib.contextmanager
    def transaction_and_die(connection: sqlite3.Connection) -> Iterator[None]:
        with transaction(connection):
            connection.set_trace_callback(lambda _statement: die() if is_due() else None)
            yield
            connection.set_trace_callback(None)

    schema_module.transaction = transaction_and_die


def _set_clock(launch: Launch) -> None:
    began = time.monotonic()

    def clock() -> int:
        ahead_s = launch.clock_offset_s
        if launch.clock_step_s and time.monotonic() - began >= launch.clock_step_at_s:
            ahead_s += launch.clock_step_s
        return now_us() + int(ahead_s * _US_PER_S)

    defaults = Bridge.__init__.__kwdefaults__
    defaults["clock"] = clock


def _turn_read_only(at_s: float, for_s: float) -> None:
    commit = SqliteStore.commit
    began: list[float] = []

    def commit_or_not(self: SqliteStore, batch: CommitBatch) -> frozenset[TwinKey]:
        now = time.monotonic()
        if not began:
            began.append(now)
        refuses = at_s <= now - began[0] < at_s + for_s
        # The connection then refuses every write with SQLITE_READONLY.
        self._connection.execute(f"PRAGMA query_only = {'ON' if refuses else 'OFF'}")
        return commit(self, batch)

    SqliteStore.commit = commit_or_not  # type: ignore[method-assign]
