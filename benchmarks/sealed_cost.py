"""What a seal costs the bridge: the write path with sealed reports, next to the same in clear.

The aim is 15 µs more than a report in clear that is numbered as well: a sealed one always is. The
cases take turns in short slices, and the fastest slice of each counts. A slice takes reports of
150 bytes from their bytes to the disk and the twins' states to the bytes that are published:
opened, decoded, reconciled, encoded, committed, sealed. CPU time only, of all threads.

    python -m benchmarks.sealed_cost --rounds 50 --json sealed.json
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from benchmarks.arguments import bounded
from benchmarks.report import save_json
from bridge.config import Config, SealingConfig, StoreConfig
from bridge.core.limits import Limits
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.link.base import Message, Publication
from bridge.security.frame import Algorithm
from bridge.security.key_wrapping import KeyWrapper, new_device_key
from bridge.security.sealing import Sealer
from bridge.service.cache import TwinCache
from bridge.service.changes import Changes
from bridge.service.effects import Effects
from bridge.service.reconciler import Reconciler
from bridge.service.requests import twins_of
from bridge.service.sealing import Sealing, make_sealing
from bridge.service.store_thread import StoreThread, open_store

DEVICES: Final = 100

REPORTS: Final = 10
"""Of each device in a slice, which is one batch: as where the bridge is busy."""

PAYLOAD_BYTES: Final = 150

CLEAR: Final = "in clear"
NUMBERED: Final = "in clear, with boot and seq"
AES: Final = "sealed, AES-256-GCM"
CHACHA: Final = "sealed, ChaCha20-Poly1305"

_KEY: Final = "5a" * 32
_LIMITS: Final = Limits()
_BOOT: Final = "9f31c0de"


class WritePath:
    """From the bytes that arrive to the bytes that leave, for one way of sending.

    Args:
        directory: For the store.
        numbered: The reports have boot and seq in clear.
        algorithm: The reports are sealed with this.
    """

    def __init__(
        self, directory: Path, *, numbered: bool = False, algorithm: Algorithm | None = None
    ) -> None:
        self._numbered = numbered
        self._algorithm = algorithm
        sealing = SealingConfig() if algorithm is None else SealingConfig(wrapping_key=_KEY)
        self._config = Config(store=StoreConfig(path=directory / "store.db"), sealing=sealing)
        self._store = StoreThread(lambda: open_store(self._config.store))
        self._cache = TwinCache(2**40)
        self._sealers: dict[str, Sealer] = {}
        self._sealing: Sealing | None = None
        self._number = 0
        self._now = 1_795_000_000_000_000

    async def open(self) -> None:
        """Open the store, and give every device a key where they seal."""
        await self._store.open()
        if self._algorithm is not None:
            await self._give_keys(self._algorithm)
        self._sealing = await make_sealing(self._config, self._store, lambda: self._now)
        self._reconciler = Reconciler(
            TopicGrammar(),
            _LIMITS,
            self._cache,
            Changes(_LIMITS, self._cache, lambda: self._now),
            lambda: self._now,
            None,
            self._sealing,
        )

    async def _give_keys(self, algorithm: Algorithm) -> None:
        wrapper = KeyWrapper(bytes.fromhex(_KEY))
        for number in range(DEVICES):
            device = f"dev-{number}"
            key = new_device_key(device, 1, algorithm)
            wrapped = wrapper.wrap(key)
            await self._store.run(
                lambda store, device=device, wrapped=wrapped: store.device_keys.install(  # type: ignore[misc]
                    device, 1, algorithm, wrapped, 1
                )
            )
            self._sealers[device] = Sealer(key, "up", f"sync/{device}/report")

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def take_slice(self) -> float:
        """Return µs of CPU for one report."""
        messages = [message for _ in range(REPORTS) for message in self._round()]
        start = time.process_time_ns()
        await self._process(messages)
        return (time.process_time_ns() - start) / len(messages) / 1000

    def _round(self) -> list[Message]:
        self._number += 1
        return [self._message(number) for number in range(DEVICES)]

    def _message(self, number: int) -> Message:
        device = f"dev-{number}"
        topic = f"sync/{device}/report"
        payload = self._payload()
        if self._algorithm is not None:
            payload = self._sealers[device].seal(payload)
        return Message(topic, payload, 1, False, 1, number + 1)

    def _payload(self) -> bytes:
        document: dict[str, object] = {f"field_{n}": self._number + n + 0.5 for n in range(5)}
        document["text"] = ""
        if self._numbered:
            document["$"] = {"boot": _BOOT, "seq": self._number}
        document["text"] = "x" * (PAYLOAD_BYTES - len(orjson.dumps(document)))
        return orjson.dumps(document)

    async def _process(self, messages: Sequence[Message]) -> None:
        """Do what the pipeline does with a batch."""
        self._now += 1000
        effects = Effects()
        requests = self._reconciler.decode(messages, effects)
        keys, _ = twins_of(requests)
        if self._sealing is not None:
            await self._sealing.prepare(requests)
        missing = self._cache.missing(keys)
        if missing:
            stored = await self._store.run(lambda store: store.load(missing))
            for key in missing:
                self._cache.put(key, stored.get(key))
        self._reconciler.apply(requests, effects, {})
        batch = effects.encode()
        stale = await self._store.run(lambda store: store.commit(batch))
        if stale or len(batch.twins) != DEVICES or batch.quarantined:
            raise RuntimeError("not every report changed its twin")
        if self._sealing is not None:
            await self._sealing.conclude(effects.proven)
        self._publish(effects)

    def _publish(self, effects: Effects) -> None:
        for change in effects.twins:
            cached = change.cached
            cached.revision += 1
            key: TwinKey = cached.twin.key
            publication = Publication(f"sync/{key.device}/state", cached.state, retain=True)
            if self._sealing is not None:
                publication = self._sealing.downlink.seal(publication)
        self._cache.shrink()


async def measure(rounds: int, directory: Path) -> dict[str, float]:
    """Return µs of CPU for one report of each case."""
    cases = {
        CLEAR: WritePath(directory / "clear"),
        NUMBERED: WritePath(directory / "numbered", numbered=True),
        AES: WritePath(directory / "aes", algorithm=Algorithm.AES_256_GCM),
        CHACHA: WritePath(directory / "chacha", algorithm=Algorithm.CHACHA20_POLY1305),
    }
    for case in cases.values():
        await case.open()
        await case.take_slice()  # Twins are made in it, and boots begun.
    fastest = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for name, case in cases.items():
            fastest[name] = min(fastest[name], await case.take_slice())
    for case in cases.values():
        await case.close()
    return fastest


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealed_cost", description=__doc__)
    parser.add_argument("--rounds", type=bounded(1, 10_000), default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(measure(options.rounds, Path(directory)))
    print(f"{'µs of CPU for one report':>34} {'µs':>8} {'more than numbered':>20}")
    for name, microseconds in figures.items():
        print(f"{name:>34} {microseconds:8.2f} {microseconds - figures[NUMBERED]:20.2f}")
    if options.json is not None:
        save_json(options.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
