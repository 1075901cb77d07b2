"""Getting at a store: through the bridge that holds it, or, where none does, by opening it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bridge.cli.invocation import Invocation
from bridge.errors import AdminUnreachable, StoreLocked

if TYPE_CHECKING:
    from bridge.api import AdminClient
    from bridge.config import Config, StoreConfig
    from bridge.core.orders import Order
    from bridge.core.reconcile import Outcome
    from bridge.core.topics import TwinKey
    from bridge.store.audit import AuditRow
    from bridge.store.sqlite import SqliteStore

store_option = click.option(
    "--store", "store_path", metavar="FILE", help="The store. Default: syncbridge-data/store.db."
)


def load_config(invocation: Invocation, store_path: str | None) -> Config:
    """Load the configuration, with the store that was named, if one was."""
    given = {} if store_path is None else {"store.path": store_path}
    return invocation.load(given).config


@contextlib.contextmanager
def open_store(settings: StoreConfig) -> Iterator[SqliteStore | AdminClient]:
    """Open the store, or, where a bridge holds it, connect to that bridge.

    Raises:
        StoreError: There is no store, or something else than a bridge of this user holds it.
    """
    from bridge.api import AdminClient
    from bridge.store.sqlite import SqliteStore

    try:
        opened: SqliteStore | AdminClient = SqliteStore.open(
            settings.path, limits=settings.to_limits(), create=False
        )
    except StoreLocked as held:
        try:
            opened = AdminClient(settings.path)
        except AdminUnreachable as error:
            raise StoreLocked(
                f"{held.message}, and {error.message}",
                hint="if that is a bridge, run this as its user; if a command, wait for its end",
            ) from error
    with contextlib.closing(opened):
        yield opened


@contextlib.contextmanager
def administer(config: Config) -> Iterator[AdminClient]:
    """Ask the bridge that holds the store; where none does, this process answers itself.

    Raises:
        StoreError: As `open_store`.
    """
    from bridge.api import AdminClient, offline_client

    with open_store(config.store) as opened:
        if isinstance(opened, AdminClient):
            yield opened
            return
        store = opened

        def apply(key: TwinKey, order: Order, act: AuditRow | None) -> Outcome:
            # Only here: it brings all of the bridge, and most commands only read.
            from bridge.service import apply_offline

            return apply_offline(store, config, key, order, lambda: time.time_ns() // 1000, act)

        with offline_client(
            store,
            config.store.path,
            apply,
            config.policies,
            config.publish.encoding,
            config.sealing.read_wrapping_key,
            config.sealing.readers.groups,
        ) as client:
            yield client
