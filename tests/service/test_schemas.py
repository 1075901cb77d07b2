"""The schemas of the configuration hold in a running bridge, for whoever writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.api.acting import Actor
from bridge.config import Config, StoreConfig
from bridge.config_schemas import SchemaTable
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, Update
from bridge.errors import ConfigError
from bridge.service import Bridge, apply_offline
from bridge.service.clock import now_us
from bridge.store.sqlite import SqliteStore
from tests.http.served import http_config, serving
from tests.schema.files import LAMP, table_of, write_schema
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

STATE = "sync/lamp-1/state"
REPLY = "sync/lamp-1/reply/lamp-1"


@pytest.fixture
def schemas(tmp_path: Path) -> SchemaTable:
    """A lamp's, for both sections."""
    return table_of(write_schema(tmp_path, LAMP), "reported", "desired")


async def answered(client: Client, payload: dict[str, Any], topic: str, reply: str) -> Any:
    """Publish, and return what is replied."""
    await client.publish(topic, payload)
    return (await client.next(reply))["$"]


async def test_what_does_not_fit_is_refused_over_mqtt(
    mosquitto: Mosquitto, tmp_path: Path, schemas: SchemaTable
) -> None:
    """A device's report and an application's desire, whole, with the path and the rule."""
    config = make_config(mosquitto, tmp_path, schemas=schemas)
    app = "sync/lamp-1/reply/anna"
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, STATE, REPLY, app) as client,
    ):
        report, desire = "sync/lamp-1/report", "sync/lamp-1/desire/anna"
        fits = {"on": True, "brightness": 5}
        assert (await answered(client, {**fits, "$": {"id": "1"}}, report, REPLY))["ok"]
        for topic, reply, patch, path in (
            (report, REPLY, {"on": False, "brightness": 256}, "reported.brightness"),
            (report, REPLY, {"on": None}, "reported"),
            (report, REPLY, {"brightness": 6, "$": {"full": True}}, "reported"),
            (desire, app, {"brightness": 1}, "desired"),
        ):
            metadata = {"id": "2", **patch.pop("$", {})}
            answer = await answered(client, {**patch, "$": metadata}, topic, reply)
            assert (answer["ok"], answer["code"]) == (False, 422)
            assert (answer["error"], answer["version"]) == ("schema_mismatch", 1)
            assert answer["message"].startswith(f"{path} would not fit its schema: ")
        # Without an id it is kept for the operator; one that fits goes on from what there was.
        await client.publish(report, {"on": False, "brightness": "bright"})
        await client.publish(report, {"brightness": 6})
        document = await client.until_version(STATE, 2)
        assert (document["reported"], document["desired"]) == ({"on": True, "brightness": 6}, {})
        (kept,) = await bridge.run_store(lambda store: store.quarantine(10))
        assert (kept.code, kept.error) == (422, "schema_mismatch")


async def test_a_section_older_than_its_schema_is_not_locked_out(
    mosquitto: Mosquitto, tmp_path: Path, schemas: SchemaTable
) -> None:
    """What is wrong in it stays until it is written; it does not become worse."""
    report = "sync/lamp-1/report"
    async with connected_client(mosquitto, STATE, REPLY) as client:
        async with running_bridge(make_config(mosquitto, tmp_path)):
            await client.publish(report, {"brightness": 999, "mode": "eco"})
            await client.until_version(STATE, 1)
        async with running_bridge(make_config(mosquitto, tmp_path, schemas=schemas)):
            await client.publish(report, {"mode": "night"})
            await client.until_version(STATE, 2)
            numbered = {"brightness": 998, "$": {"id": "1", "boot": "b", "seq": 1}}
            for _ in range(2):
                answer = await answered(client, numbered, report, REPLY)
                assert (answer["code"], answer["version"]) == (422, 2)
            await client.publish(report, {"brightness": 1})
            document = await client.until_version(STATE, 3)
    assert document["reported"] == {"brightness": 1, "mode": "night"}


async def test_a_late_message_that_takes_no_effect_is_not_refused(
    mosquitto: Mosquitto, tmp_path: Path, schemas: SchemaTable
) -> None:
    """It is the merged section that has to fit."""
    config = make_config(mosquitto, tmp_path, schemas=schemas)
    async with (
        running_bridge(config),
        connected_client(mosquitto, REPLY) as client,
    ):
        report = "sync/lamp-1/report"
        await answered(client, {"on": True, "brightness": 1, "$": {"id": "1"}}, report, REPLY)
        long_ago = {"id": "2", "t": 1_600_000_000_000_000}
        answer = await answered(client, {"brightness": 999, "$": long_ago}, report, REPLY)
        assert (answer["ok"], answer["superseded"]) == (True, True)


def test_what_does_not_fit_is_refused_over_http(
    mosquitto: Mosquitto, tmp_path: Path, schemas: SchemaTable
) -> None:
    """A merge patch, a JSON Patch and a whole section alike; devices of other patterns are free."""
    with serving(http_config(mosquitto, tmp_path, schemas=schemas)) as served:
        path = "/v1/twins/lamp-1/desired"
        assert served.ask("PUT", path, json={"on": True}).status_code == 200
        operations = [{"op": "add", "path": "/mode", "value": "x"}]
        for method, options in (
            ("PATCH", {"json": {"mode": "x", "on": False}}),
            ("PUT", {"json": {"mode": "eco"}}),
            ("PATCH", {"json": operations, "headers": {"Content-Type": _JSON_PATCH}}),
        ):
            answer = served.ask(method, path, **options)
            assert answer.status_code == 422, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["error"] == "schema_mismatch"
            assert "the rule is /" in answer.json()["detail"]
        assert served.ask("GET", path).json() == {"on": True}
        assert served.ask("PUT", "/v1/twins/meter/desired", json={"on": 1}).status_code == 200
        # Who wants nothing any more may say so.
        assert served.ask("PUT", path, json={}).status_code == 200


_JSON_PATCH = "application/json-patch+json"


def test_a_command_without_a_bridge_keeps_to_the_schemas(
    tmp_path: Path, schemas: SchemaTable
) -> None:
    """It has the same configuration."""
    config = Config(store=StoreConfig(path=tmp_path / "store.db"), schemas=schemas)
    store = SqliteStore.open(config.store.path, limits=config.store.to_limits())
    key = TwinKey("lamp-1")
    try:
        for mode, error in (("eco", None), ("x", "schema_mismatch")):
            patch: JsonObject = {"on": True, "mode": mode}
            order = Update(key, "desired", "operator", patch, Metadata(), b"")
            refusal = apply_offline(store, config, key, order, now_us).refusal
            assert (refusal and refusal.error) == error
    finally:
        store.close()


async def test_a_schema_that_is_none_ends_the_start(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With its file and the place in it."""
    path = write_schema(tmp_path, {"properties": {"on": {"type": "bool"}}})
    bridge = Bridge(make_config(mosquitto, tmp_path, schemas=table_of(path, "reported")))
    with pytest.raises(ConfigError, match=r"lamp\.json is not allowed: at /properties/on/type"):
        await bridge.__aenter__()


OPERATOR = Actor("socket", "operator")


async def test_new_schemas_count_without_a_restart(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """For twins in memory too; where one of the files is broken, none of them changes."""
    lamp = write_schema(tmp_path, LAMP)
    net = write_schema(tmp_path, {}, "net.json")
    table = SchemaTable.parse(
        {"lamp-*": {"reported": str(lamp)}, "lamp-*/net": {"reported": str(net)}}
    )
    report = "sync/lamp-1/report"
    async with (
        running_bridge(make_config(mosquitto, tmp_path, schemas=table)) as bridge,
        connected_client(mosquitto, REPLY) as client,
    ):

        async def reported(brightness: int) -> Any:
            said = {"on": True, "brightness": brightness, "$": {"id": "1"}}
            return (await answered(client, said, report, REPLY)).get("error")

        assert await reported(256) == "schema_mismatch"
        write_schema(tmp_path, {"properties": {"brightness": {"maximum": 300}}})
        write_schema(tmp_path, {"type": "strin"}, "net.json")
        with pytest.raises(ConfigError, match=r"net\.json is not allowed: at /type") as refused:
            await bridge.administrator.reload_schemas(OPERATOR)
        assert (refused.value.field, refused.value.source) == ("schemas", str(net))
        assert await reported(256) == "schema_mismatch"
        write_schema(tmp_path, {}, "net.json")
        assert await bridge.administrator.reload_schemas(OPERATOR) == {"entries": 2, "files": 2}
        assert await reported(256) is None
        assert await reported(301) == "schema_mismatch"
        rows = await bridge.run_store(lambda store: store.audit(10))
    told = [(row.act, row.who, row.target, row.outcome, row.details) for row in rows]
    assert told == [
        ("schemas.reload", "operator", "", "done", '{"schemas":{"entries":2,"files":2}}'),
        ("schemas.reload", "operator", str(net), "failed", "{}"),
    ]


async def test_without_schemas_there_are_none_to_reload(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Only a start can put the first ones in force."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        with pytest.raises(ConfigError, match="there are none to reload"):
            await bridge.administrator.reload_schemas(OPERATOR)
