"""Changes a twin in a store that no bridge holds, as a running bridge would."""

from __future__ import annotations

from collections.abc import Callable

from bridge.config import Config
from bridge.core.orders import Order
from bridge.core.reconcile import Outcome
from bridge.core.topics import TwinKey
from bridge.core.update import Presence, Update
from bridge.errors import StoreUnavailable
from bridge.service.cache import TwinCache
from bridge.service.changes import Changes
from bridge.service.effects import Effects
from bridge.service.models import make_models
from bridge.service.newcomers import Newcomers
from bridge.store.audit import AuditRow
from bridge.store.base import Store
from bridge.store.restore import VERSION_RAISE


def apply_offline(
    store: Store,
    config: Config,
    key: TwinKey,
    order: Order,
    clock: Callable[[], int],
    act: AuditRow | None = None,
) -> Outcome:
    """Load a twin, carry out an order, and commit it.

    It is published when a bridge next starts on the store, before anything newer.

    Args:
        store: The store, which nobody else changes meanwhile.
        config: The settings that a bridge on this store would have.
        key: The twin.
        order: What to do.
        clock: The time, in µs since the epoch.
        act: What the audit trail is to tell of it; its outcome is filled in.

    Raises:
        ConfigError: A schema cannot be read, or is none.
        StoreError: Nothing took effect.
    """
    raised_by = int(store.metadata().get(VERSION_RAISE, "0"))
    models = make_models(config)
    cache = TwinCache(config.store.cache_bytes, raised_by, config.policies, models)
    cached = cache.put(key, store.load([key]).get(key))
    refusal = None
    if cached.revision == 0 and isinstance(order, Update | Presence):
        names = {key.device: store.twin_names(key.device)}
        refusal = Newcomers(config.limits).refuse([key], names, clock()).get(key)
    if refusal is not None:
        return Outcome(cached.twin.version, refusal=refusal)
    effects = Effects()
    outcome = Changes(config.limits.to_core(), cache, clock).by_order(key, order, effects)
    if act is not None:
        effects.acted(act, order, outcome)
    if store.commit(effects.encode()):
        raise StoreUnavailable(
            f"twin {str(key)!r} was changed by somebody else meanwhile", hint="try again"
        )
    return outcome
