"""What is retained is published again for devices whose keys were changed and nobody told it."""

from __future__ import annotations

from functools import partial
from typing import Final

from bridge.errors import StoreUnavailable
from bridge.logs import get_logger
from bridge.service.clock import now_us
from bridge.service.group_states import publish_group_states
from bridge.service.identity import keep_fact
from bridge.service.pipeline import Pipeline
from bridge.service.publisher import Publisher
from bridge.service.sealing import Sealing, twins_of
from bridge.service.store_thread import StoreThread
from bridge.service.unpublished import publication_of

KEYS_TOLD_AT: Final = "keys_told_at"
"""Name of the store's fact that holds, in µs, up to when what follows from keys is published."""

MARGIN_US: Final = 24 * 3600 * 1_000_000
"""How much earlier a key may have been changed than this says: the clock may have been set."""

_log = get_logger("bridge.sealing")


async def publish_changed_keys(
    sealing: Sealing | None,
    store: StoreThread,
    pipeline: Pipeline,
    publisher: Publisher,
) -> None:
    """Seal with their present key, or clear, what is retained for readers whose keys have changed.

    Of devices it is done here at the start, and by whoever changes a key from then on. Of groups,
    which may have very many devices, it is done here as long as the bridge runs. Also where no
    device has a key any more: the last ones may have been forgotten.
    """
    await _publish_devices(sealing, store, pipeline, publisher)
    if sealing is not None:
        await publish_group_states(sealing, store, publisher)


async def _publish_devices(
    sealing: Sealing | None, store: StoreThread, pipeline: Pipeline, publisher: Publisher
) -> None:
    """Publish again what is retained for devices whose keys have changed since the last start.

    A key may be changed while no bridge runs, and a bridge may be killed between the change and
    what follows from it.
    """
    began = now_us()  # as whoever changes a key takes the time

    async def publish(device: str) -> None:
        if sealing is not None:
            again = await sealing.reload(device)
        else:
            twins = await store.run(lambda opened: twins_of(opened, device))
            again = [publication_of(twin) for twin in twins]
        publisher.offer(again, rebuild=True)

    try:
        facts = await store.run(lambda opened: opened.metadata())
        since = int(facts.get(KEYS_TOLD_AT, "0")) - MARGIN_US
        devices = await store.run(lambda opened: opened.device_keys.changed_since(since))
        for device in devices:
            await publisher.wait_for_room()
            await pipeline.between_batches(partial(publish, device))
    except StoreUnavailable as error:
        _log.error("the keys cannot be read; the next start tries again", reason=error.message)
        return
    if sealing is None and not devices:
        return
    await publisher.wait_until_rebuilt()
    await keep_fact(store, KEYS_TOLD_AT, str(began))
