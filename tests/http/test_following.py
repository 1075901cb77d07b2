"""Reading along, where a change falls between the subscription and the present."""

from __future__ import annotations

import json
import time
from pathlib import Path

from bridge.core.pattern import parse_device_pattern
from bridge.core.topics import TwinKey
from bridge.core.update import NO_METADATA, Update
from bridge.http.authentication import Authenticator
from bridge.http.following import Following
from bridge.service.administrator import Administrator
from bridge.service.clock import now_us
from bridge.service.http_backend import HttpBackend
from bridge.service.store_thread import Result
from tests.http.served import http_config
from tests.support.bridge import running_bridge
from tests.support.mosquitto import Mosquitto

KEY = TwinKey("lamp-1")


class Busy(HttpBackend):
    """A twin changes just before the present is read."""

    is_about_to_change = False

    async def change(self, value: int) -> None:
        """Change it."""
        order = Update(KEY, "desired", "app", {"v": value}, NO_METADATA, b"")
        outcome = await self.write(KEY, order)
        assert outcome.changed

    async def run_store(self, function: object) -> Result:
        """Let it change first."""
        if self.is_about_to_change:
            self.is_about_to_change = False
            await self.change(2)
        return await super().run_store(function)  # type: ignore[arg-type]


async def test_a_change_that_the_present_holds_does_not_come_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It was committed after the subscription and before the page was read."""
    config = http_config(mosquitto, tmp_path, http={"listen": None})
    async with running_bridge(config) as bridge:
        administrator = Administrator(
            config, bridge._store, bridge._pipeline, bridge._publisher, now_us, None
        )
        backend = Busy(config, administrator, None, bridge._link)
        await backend.change(1)
        backend.is_about_to_change = True
        pattern = parse_device_pattern("lamp-*")
        authenticator = Authenticator(backend, time.monotonic)
        following = Following(backend, authenticator, None, pattern, None, None)
        messages = following.messages()
        seen = []
        async for text, stamp in messages:
            message = json.loads(text)
            seen.append((message["type"], message.get("version")))
            if message["type"] == "live":
                assert stamp == message["stamp"]
                await backend.change(3)
            if message["type"] == "change":
                break
        await messages.aclose()  # type: ignore[attr-defined]
    assert seen == [("present", 2), ("live", None), ("change", 3)]
