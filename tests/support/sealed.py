"""Devices that seal, as a program without the device library does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from bridge.config import Config, SealingConfig, StoreConfig
from bridge.core.compression import NO_COMPRESSION, CompressionRules
from bridge.core.refusal import Refusal
from bridge.security.frame import Algorithm
from bridge.security.key_wrapping import KeyWrapper, new_device_key
from bridge.security.sealing import DeviceKey, Opened, Opener, Sealer
from bridge.service.clock import now_us
from bridge.store.sqlite import SqliteStore
from tests.support.bridge import Client, make_config
from tests.support.mosquitto import Mosquitto

WRAPPING_KEY = bytes(range(32))


def sealing_config(
    broker: Mosquitto,
    directory: Path,
    compression: CompressionRules = NO_COMPRESSION,
    **sealing: Any,
) -> Config:
    """The configuration of a bridge whose devices may have keys."""
    file = directory / "wrapping.key"
    file.touch(mode=0o600)
    file.write_text(WRAPPING_KEY.hex())
    settings = SealingConfig(wrapping_key_file=file, **sealing)
    return make_config(broker, directory, sealing=settings, compression=compression)


def give_key(
    store: SqliteStore, device: str = "lamp-1", algorithm: Algorithm = Algorithm.AES_256_GCM
) -> DeviceKey:
    """Give a device its next key in a store that is open."""
    key = new_device_key(device, store.device_keys.next_id(device), algorithm)
    wrapped = KeyWrapper(WRAPPING_KEY).wrap(key)
    assert store.device_keys.install(device, key.key_id, algorithm, wrapped, now_us()) is not None
    return key


def give_keys(config: StoreConfig, *devices: str) -> list[DeviceKey]:
    """Give devices a key each in a store that no bridge holds."""
    config.path.parent.mkdir(parents=True, exist_ok=True)
    store = SqliteStore.open(config.path, limits=config.to_limits())
    try:
        return [give_key(store, device) for device in devices]
    finally:
        store.close()


class SealedClient:
    """One who seals with a key what it publishes, and opens what comes.

    Attributes:
        key: The key.
        sent: The last frame.
    """

    def __init__(self, client: Client, key: DeviceKey) -> None:
        self.key = key
        self.sent = b""
        self._client = client
        self._sealers: dict[str, Sealer] = {}
        self._opener = Opener()

    async def publish(self, topic: str, payload: Any = b"", **options: Any) -> bytes:
        """Seal and publish; returns the frame."""
        if not isinstance(payload, bytes):
            payload = orjson.dumps(payload)
        if topic not in self._sealers:
            self._sealers[topic] = Sealer(self.key, "up", topic)
        self.sent = self._sealers[topic].seal(payload)
        await self._client.publish(topic, self.sent, **options)
        return self.sent

    async def next(self, topic: str) -> Any:
        """Wait for the next message on a topic, which must open, and return its JSON."""
        payload = (await self._client.next_message(topic)).payload
        assert isinstance(payload, bytes)
        return orjson.loads(self.open(topic, payload).payload)

    def open(self, topic: str, payload: bytes) -> Opened:
        """Open what came down."""
        opened = self._opener.open(payload, [self.key], "down", topic)
        assert not isinstance(opened, Refusal), opened
        return opened

    async def answer(self, topic: str) -> Any:
        """Wait for the next reply, and return what stands in its `$`."""
        return (await self.next(topic))["$"]
