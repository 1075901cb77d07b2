"""A running bridge does what the permissions allow, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from bridge import metrics
from bridge.config import BrokerConfig, Config, PermissionsConfig, StoreConfig
from bridge.core.limits import Limits
from bridge.core.permissions import Permissions
from bridge.core.policy import Policies
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import ConfigError
from bridge.link.base import Message
from bridge.service import Bridge
from bridge.service.guard import Guard
from bridge.service.requests import Decoder, Request, twins_of
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

PERMISSIONS = """\
principals: [anna, bert, carl, dora]
groups:
  operators: [anna]
rules:
  operators:
    "lamp-*":
      reported.**: read write
      desired.**: read write
  anna:
    lamp-9:
      desired.**: deny read write
      reported.**: deny read
  bert:
    lamp-1:
      desired.on: read write
      desired.color: write
      desired.color.secret: deny write
      reported.on: read
  dora:
    "*":
      desired.locked: write
  self:
    "*":
      reported.serial: deny write
    "old-*":
      reported.**: deny write
"""


def guarded(broker: Mosquitto, directory: Path, text: str = PERMISSIONS, **more: Any) -> Config:
    """The configuration of a bridge with these permissions."""
    file = directory / "permissions.yaml"
    file.write_text(text, encoding="utf-8")
    return make_config(broker, directory, permissions=PermissionsConfig(file=file), **more)


class Sender:
    """Publishes under any name, and waits for the answer."""

    def __init__(self, bridge: Bridge, client: Client) -> None:
        self.bridge = bridge
        self.client = client
        self._asked = 0

    async def ask(self, topic: str, reply: str, **body: Any) -> Any:
        """Publish a message with an id and return what stands in the reply that bears it."""
        self._asked += 1
        metadata = {"id": str(self._asked), **body.pop("head", {})}
        await self.client.publish(f"sync/{topic}", {**body, "$": metadata})
        while True:
            answer = await self.client.next(f"sync/{reply}")
            if answer["$"].get("id") == metadata["id"]:
                return answer

    async def desire(self, writer: str, device: str = "lamp-1", **body: Any) -> Any:
        """Write to `desired`; returns `$` of the reply."""
        answer = await self.ask(f"{device}/desire/{writer}", f"{device}/reply/{writer}", **body)
        return answer["$"]

    async def report(self, device: str = "lamp-1", **body: Any) -> Any:
        """Report as a device; returns `$` of the reply."""
        return (await self.ask(f"{device}/report", f"{device}/reply/{device}", **body))["$"]

    async def get(self, requester: str, device: str = "lamp-1", **body: Any) -> Any:
        """Ask for a twin; returns the reply."""
        topic = f"{device}/get/{requester}"
        return await self.ask(topic, f"{device}/reply/{requester}", **body)

    async def desired(self, device: str = "lamp-1") -> Any:
        """What is desired of a device, as it stands in the store's cache."""
        return (await self.get(device, device))["desired"]


@asynccontextmanager
async def serving(config: Config, broker: Mosquitto) -> AsyncIterator[Sender]:
    """A bridge, and a sender that sees all replies."""
    async with (
        running_bridge(config) as bridge,
        connected_client(broker, "sync/+/reply/+", "sync/+/+/reply/+") as client,
    ):
        yield Sender(bridge, client)


async def test_who_may_write_everything_may_and_who_may_nothing_leaves_nothing_behind(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Not a twin, and not the memory of a number."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        assert (await sender.desire("anna", on=True))["ok"]
        for writer, device in (("carl", "lamp-1"), ("nobody", "lamp-2"), ("anna", "plug-1")):
            answer = await sender.desire(writer, device, on=False, head={"boot": "b", "seq": 1})
            assert (answer["code"], answer["error"]) == (403, "forbidden")
            assert "write anything in desired of" in answer["message"]
            assert "version" not in answer
        assert await sender.desired() == {"on": True}
        assert await sender.bridge.run_store(lambda store: store.count_twins()) == 1
        cached = await sender.bridge.run_store(lambda store: store.load([TwinKey("lamp-1")]))
        assert b"carl" not in cached[TwinKey("lamp-1")].internals
        refused = sender.bridge.counters.value(metrics.UPDATES_REFUSED, "forbidden")
        assert refused == 3


def test_the_twin_of_a_sender_that_may_nothing_is_not_loaded() -> None:
    """Nor does it count as a new one: whoever may publish can invent names."""
    decoder = Decoder(TopicGrammar(), Limits())
    guard = Guard(Permissions())
    found = []
    for device, verb in (("d1", "desire/nobody"), ("d2", "get/nobody"), ("d3", "get/d3")):
        message = Message(f"sync/{device}/{verb}", b"{}", 1, False, 1, 1)
        request = decoder.decode(message)
        assert isinstance(request, Request)
        found.append(guard.admit(request))
    assert twins_of(found) == ({TwinKey("d3")}, set())


async def test_a_patch_that_touches_one_forbidden_path_is_refused_whole(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """And the path is named."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        assert (await sender.desire("bert", on=True, color={"r": 1}))["ok"]
        patches: tuple[tuple[dict[str, Any], str], ...] = (
            ({"on": False, "scene": "night"}, "desired.scene"),
            ({"on": False, "color": {"r": 2, "secret": 3}}, "desired.color.secret"),
        )
        for patch, path in patches:
            answer = await sender.desire("bert", **patch)
            assert (answer["code"], answer["version"]) == (403, 1)
            assert answer["message"].startswith(f"bert may not write {path} of lamp-1:")
        assert await sender.desired() == {"on": True, "color": {"r": 1}}


async def test_what_a_value_would_take_with_it_counts_as_touched(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A removal of the object above, and `full`: allowed while nothing forbidden is there."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        await sender.desire("bert", on=True, color={"r": 1})
        assert (await sender.desire("bert", on=True, head={"full": True}))["ok"]
        assert await sender.desired() == {"on": True}
        await sender.desire("anna", color={"secret": 7})
        for answer in (
            await sender.desire("bert", color=None),
            await sender.desire("bert", on=True, head={"full": True}),
        ):
            assert answer["code"] == 403
            assert "desired.color.secret" in answer["message"]
        assert await sender.desired() == {"on": True, "color": {"secret": 7}}


async def test_a_forbidden_update_counts_as_received_and_its_repeat_is_refused_alike(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Also where the repeat alone would have been allowed by then."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        await sender.desire("anna", color={"secret": 7})
        numbered = {"id": "same", "boot": "b", "seq": 1}
        first = await sender.desire("bert", color=None, head=numbered)
        await sender.desire("anna", color={"secret": None, "r": 1})
        again = await sender.desire("bert", color=None, head=numbered)
        assert first["code"] == again["code"] == 403
        assert first["message"] == again["message"]
        assert await sender.desired() == {"color": {"r": 1}}
        assert (await sender.desire("bert", on=True, head={"boot": "b", "seq": 2}))["ok"]


async def test_a_device_reports_what_no_rule_denies(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """In the plain way, in its named twins, and from a device that nobody has declared."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        await sender.client.subscribe("sync/plug-1/state")
        for value in range(3):
            await sender.client.publish("sync/plug-1/report", {"power": value})
        state = await sender.client.until_version("sync/plug-1/state", 3)
        assert state["reported"] == {"power": 2}
        answer = await sender.report("plug-1", serial="forged")
        assert answer["code"] == 403
        assert "plug-1 may not write reported.serial of plug-1" in answer["message"]
        await sender.client.publish("sync/plug-1/report", {"serial": "forged", "power": 9})
        await sender.client.publish("sync/plug-1/setup/report", {"rate": 5})
        assert (await sender.report("plug-1", power=4))["version"] == 4
        assert (await sender.get("plug-1", "plug-1"))["reported"] == {"power": 4}
        setup = await sender.ask("plug-1/setup/get/plug-1", "plug-1/setup/reply/plug-1")
        assert setup["reported"] == {"rate": 5}
        # It had no id, and nobody was told.
        assert sender.bridge.counters.value(metrics.QUARANTINED) == 1


async def test_a_device_that_may_report_nothing_makes_no_twin(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Not with an empty report either."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        for state in ({}, {"on": True}, {"a": {"b": 1}}):
            await sender.client.publish("sync/old-1/report", state)
        assert (await sender.report("old-1"))["code"] == 403
        assert await sender.bridge.run_store(lambda store: store.count_twins()) == 0
        assert sender.bridge.counters.value(metrics.QUARANTINED) == 3


async def test_a_get_shows_what_may_be_read_and_nothing_else(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """With what is known of each field, and in whatever encoding."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        await sender.report(on=False, power=7)
        await sender.desire("anna", on=True, color={"r": 1})
        answer = await sender.get("bert", meta=True)
        assert (answer["reported"], answer["desired"]) == ({"on": False}, {"on": True})
        assert answer["meta"]["reported"].keys() == answer["meta"]["desired"].keys() == {"on"}
        everything = await sender.get("anna", meta=True)
        assert everything["desired"] == {"on": True, "color": {"r": 1}}
        assert everything["meta"]["reported"].keys() == {"on", "power"}
        await sender.client.publish("sync/lamp-1/get/bert", msgpack.packb({}))
        reply = await sender.client.next_message("sync/lamp-1/reply/bert")
        body = msgpack.unpackb(reply.payload)
        assert (body["reported"], body["desired"]) == ({"on": False}, {"on": True})
        for requester in ("carl", "nobody", "lamp-2"):
            refused = await sender.get(requester)
            assert refused["$"]["code"] == 403
            assert refused.keys() == {"$"}
        # Whether there is such a twin is not told either.
        assert (await sender.get("carl", "none"))["$"]["code"] == 403
        assert (await sender.get("anna", "lamp-7"))["$"]["code"] == 404


async def test_who_may_read_a_part_gets_the_whole_of_it_for_changes(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A patch would tell of what may not be read; who is up to date is told so."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        await sender.desire("anna", on=True, hidden=1)
        await sender.desire("anna", hidden=None)
        answer = await sender.get("bert", since=1)
        assert answer["$"]["full"] is True
        assert answer["desired"] == {"on": True}
        current = await sender.get("bert", since=2)
        assert current["$"]["since"] == 2
        assert "desired" not in current
        whole = await sender.get("anna", since=1)
        assert (whole["$"]["since"], whole["desired"]) == (1, {"hidden": None})


async def test_who_may_write_everything_may_delete_a_twin(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """And nobody else, the device neither."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        await sender.report(on=True)
        for writer in ("bert", "lamp-1", "nobody"):
            answer = await sender.ask(f"lamp-1/delete/{writer}", f"lamp-1/reply/{writer}")
            assert answer["$"]["code"] == 403
            assert "may not delete the twin lamp-1" in answer["$"]["message"]
        assert (await sender.ask("lamp-1/delete/anna", "lamp-1/reply/anna"))["$"]["ok"]


async def test_a_denial_for_a_principal_is_stronger_than_its_group(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Of one device only."""
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        assert (await sender.desire("anna", "lamp-8", on=True))["ok"]
        assert (await sender.desire("anna", "lamp-9", on=True))["code"] == 403
        await sender.report("lamp-9", on=True)
        assert (await sender.get("anna", "lamp-9"))["$"]["code"] == 403


@pytest.mark.parametrize(("reader", "told"), [("dora", False), ("anna", True)])
async def test_the_answer_to_a_conflict_does_not_tell_what_may_not_be_read(
    mosquitto: Mosquitto, tmp_path: Path, reader: str, told: bool
) -> None:
    """The policy `refuse` answers with what is there."""
    policies = Policies.parse({"*": {"desired.locked": "refuse"}}, Limits())
    config = guarded(mosquitto, tmp_path, policies=policies)
    async with serving(config, mosquitto) as sender:
        await sender.desire("anna", on=True)
        await sender.desire("anna", locked="the-secret")
        writer = "dora" if reader == "dora" else "anna"
        if writer == "anna":
            await sender.desire("dora", locked="the-secret-2", head={"seen": 9})
        answer = await sender.desire(writer, locked="x", head={"seen": 1})
        assert (answer["code"], answer["error"]) == (409, "conflict")
        assert ("the-secret" in answer["message"]) is told


async def test_an_open_bridge_says_so_at_its_start(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file, and with the default of development; a closed one says how many rules."""
    async with serving(make_config(mosquitto, tmp_path), mosquitto) as sender:
        assert (await sender.desire("nobody", on=True))["ok"]
    assert "no permissions are configured" in capsys.readouterr().err
    config = guarded(mosquitto, tmp_path, f"default: development\n{PERMISSIONS}")
    async with serving(config, mosquitto) as sender:
        assert (await sender.desire("nobody", on=False))["ok"]
        assert (await sender.desire("anna", "lamp-9", on=True))["code"] == 403
    assert "the permissions are those of development" in capsys.readouterr().err
    async with serving(guarded(mosquitto, tmp_path), mosquitto) as sender:
        assert (await sender.desire("nobody", on=True))["code"] == 403
    assert "permissions are in force" in capsys.readouterr().err


async def test_a_bridge_does_not_start_with_permissions_that_it_cannot_read(
    tmp_path: Path,
) -> None:
    """It would be open, or closed, without anybody having said so. It does not even connect."""
    config = Config(
        broker=BrokerConfig(url="mqtt://127.0.0.1:1"),
        store=StoreConfig(path=tmp_path / "store.db"),
        permissions=PermissionsConfig(file=tmp_path / "permissions.yaml"),
    )
    with pytest.raises(ConfigError, match="cannot be read"):
        async with Bridge(config):
            pass
