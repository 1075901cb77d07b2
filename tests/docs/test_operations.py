"""What the operations document tells an operator to do works."""

from __future__ import annotations

import ast
import asyncio
import configparser
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import click
import pytest
import yaml

from bridge import metrics
from bridge.cli.group import syncbridge
from bridge.config import SETTINGS, TABLES, BrokerConfig, Config, StoreConfig
from tests.docs.documented import OPERATIONS, PASSWORD, DocumentedMosquitto, only_block
from tests.docs.markdown import ROOT, plain
from tests.support.bridge import WAIT_S, Client, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sockets import SEND_AT_ONCE

UNIT = ROOT / "deploy" / "syncbridge.service"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """The broker that the document describes."""
    with DocumentedMosquitto(tmp_path / "mosquitto") as running:
        yield running


@pytest.fixture
def config(broker: Mosquitto, tmp_path: Path) -> Config:
    """The bridge's configuration for it, from the document."""
    documented = yaml.safe_load(only_block("yaml"))["broker"]
    assert documented.pop("url") == "mqtt://127.0.0.1:1883"
    password_file = tmp_path / "mqtt-password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)
    documented["password_file"] = password_file
    return Config(
        broker=BrokerConfig(url=f"mqtt://{broker.host}:{broker.port}", **documented),
        store=StoreConfig(path=tmp_path / "store.db"),
    )


@asynccontextmanager
async def logged_in(broker: Mosquitto, user: str, *filters: str) -> AsyncIterator[Client]:
    """A client with a login, which has subscribed."""
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=user,
        password=PASSWORD,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=SEND_AT_ONCE,
    ) as mqtt:
        client = Client(mqtt)
        collecting = asyncio.create_task(client.collect())
        try:
            for topic_filter in filters:
                await client.subscribe(topic_filter)
            yield client
        finally:
            collecting.cancel()
            await asyncio.wait({collecting})


async def test_the_documented_broker_serves_bridge_device_and_application(
    broker: Mosquitto, config: Config
) -> None:
    """With the documented rights: state, delta and replies reach whom they should."""
    async with (
        running_bridge(config),
        logged_in(broker, "app", "sync/+/state", "sync/+/reply/app") as app,
        logged_in(broker, "lamp-1", "sync/lamp-1/delta", "sync/lamp-1/reply/lamp-1") as lamp,
    ):
        await lamp.publish("sync/lamp-1/report", {"on": True, "$": {"id": "1"}})
        assert (await lamp.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]
        assert (await app.next("sync/lamp-1/state"))["reported"] == {"on": True}
        await app.publish("sync/lamp-1/desire/app", {"on": False, "$": {"id": "2"}})
        assert (await app.next("sync/lamp-1/reply/app"))["$"]["ok"]
        assert (await lamp.next("sync/lamp-1/delta"))["state"] == {"on": False}
        await lamp.publish("sync/lamp-1/config/report", {"rate": 5})
        await lamp.publish("sync/lamp-1/presence", b"online", retain=True)
        state = await app.until_version("sync/lamp-1/state", 3)
        assert state["online"] is True


async def test_the_documented_rights_keep_everyone_to_their_own_name(
    broker: Mosquitto, config: Config
) -> None:
    """What is denied never reaches the bridge, nor anybody who reads."""
    async with (
        running_bridge(config) as bridge,
        logged_in(broker, "lamp-1", "sync/lamp-1/reply/lamp-1") as lamp,
        logged_in(broker, "app", "sync/#") as app,
    ):
        for client, topic in (
            (lamp, "sync/lamp-2/report"),
            (lamp, "sync/lamp-2/desire/lamp-1"),
            (lamp, "sync/lamp-1/delete/lamp-1"),
            (lamp, "sync/lamp-1/state"),
            (app, "sync/lamp-2/desire/lamp-1"),
            (app, "sync/lamp-1/delete/app"),
            (app, "sync/$bridge/status"),
        ):
            await client.publish(topic, {"denied": True})
        await lamp.publish("sync/lamp-1/report", {"on": True, "$": {"id": "1"}})
        await lamp.next("sync/lamp-1/reply/lamp-1")
        await app.publish("sync/lamp-1/get/app", b"")
        # All that the application could see: the first state is that of the one report.
        assert (await app.next("sync/lamp-1/state"))["reported"] == {"on": True}
        await app.next("sync/lamp-1/reply/app")
        assert bridge.counters.snapshot()[metrics.UPDATES_CHANGED] == 1
        assert bridge.counters.value(metrics.QUARANTINED) == 0
        assert await bridge.run_store(lambda store: store.count_twins()) == 1


async def test_what_the_documented_broker_has_saved_survives_its_kill(
    broker: Mosquitto, config: Config
) -> None:
    """Retained states, and messages that wait for the bridge, in the bridge's session."""
    async with running_bridge(config), logged_in(broker, "app", "sync/+/state") as app:
        async with logged_in(broker, "lamp-1") as lamp:
            await lamp.publish("sync/lamp-1/report", {"on": True})
        before = await app.next_message("sync/lamp-1/state")
    async with logged_in(broker, "lamp-2") as lamp:
        # The last one may be lost: Mosquitto saves after it has acknowledged, before it reads on.
        for number in range(21):
            await lamp.publish("sync/lamp-2/report", {f"f{number}": number})
        broker.kill()
    broker.start()
    async with logged_in(broker, "app", "sync/+/state") as app:
        assert (await app.next_message("sync/lamp-1/state")).payload == before.payload
        async with running_bridge(config) as bridge:
            assert bridge.session is not None
            assert bridge.session.session_present
            state = await app.next("sync/lamp-2/state")
            while len(state["reported"]) < 20:
                state = await app.next("sync/lamp-2/state")
            assert bridge.counters.value(metrics.SESSIONS_LOST) == 0
            assert bridge.counters.value(metrics.REBUILT) == 0


async def test_nobody_else_can_take_the_bridges_session_on_the_documented_broker(
    broker: Mosquitto, config: Config
) -> None:
    """Not with its client id, and a clean start."""
    async with running_bridge(config) as bridge:
        session = bridge.session
        metadata = await bridge.run_store(lambda store: store.metadata())
        for identifier in ("syncbridge", metadata["client_id"]):
            async with aiomqtt.Client(
                broker.host,
                broker.port,
                username="lamp-2",
                password=PASSWORD,
                identifier=identifier,
                protocol=aiomqtt.ProtocolVersion.V5,
                clean_start=True,
            ):
                pass
        async with logged_in(broker, "lamp-1", "sync/lamp-1/reply/lamp-1") as lamp:
            await lamp.publish("sync/lamp-1/report", {"on": True, "$": {"id": "1"}})
            await lamp.next("sync/lamp-1/reply/lamp-1")
        assert bridge.session == session


async def test_after_the_status_is_cleared_everything_is_published_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """As the document says how to have it done on purpose."""
    config = Config(
        broker=BrokerConfig(url=f"mqtt://{mosquitto.host}:{mosquitto.port}"),
        store=StoreConfig(path=tmp_path / "store.db"),
    )
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as mqtt:
        async with running_bridge(config):
            await mqtt.subscribe("sync/+/reply/+", qos=1)
            for number in range(3):
                await mqtt.publish(f"sync/d{number}/report", '{"$":{"id":"1"}}', qos=1)
            async with asyncio.timeout(WAIT_S):
                for _ in range(3):
                    await anext(aiter(mqtt.messages))
        await mqtt.publish("sync/$bridge/status", b"", qos=1, retain=True)
        async with running_bridge(config) as bridge, asyncio.timeout(WAIT_S):
            while bridge.counters.value(metrics.PUBLISHED) < 3:
                await asyncio.sleep(0.01)
            assert bridge.counters.value(metrics.REBUILT) == 3


def test_every_setting_of_the_configuration_is_explained() -> None:
    """No line of it has to be believed."""
    lines = [line for line in only_block("mosquitto").splitlines() if line and line[0] != "#"]
    used = {line.split()[0] for line in lines} - {"listener", "persistence_location"}
    rows = OPERATIONS.table("setting | default | here | why")
    explained = {name for row in rows for name in plain(row[0]).split(", ")}
    assert used == explained


def texts_in_the_code() -> set[str]:
    """Return every string in the bridge's source."""
    return {
        node.value
        for path in (ROOT / "bridge").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_line_to_watch_for_is_one_that_is_logged() -> None:
    """Word for word."""
    texts = texts_in_the_code()
    rows = OPERATIONS.table("line | level | means | do")
    assert rows
    assert [row[0] for row in rows if plain(row[0]) not in texts] == []


def test_every_route_of_the_administration_exists() -> None:
    """Those that are named, and the one that is asked for the health."""
    texts = texts_in_the_code()
    routes = {text for text in OPERATIONS.code() if text.startswith("/v1/")}
    assert routes
    assert routes - texts == set()
    assert "http://localhost/healthz" in OPERATIONS.text
    assert "/healthz" in texts


def test_every_setting_that_is_named_exists() -> None:
    """By its dotted name."""
    sections = {name.partition(".")[0] for name in SETTINGS if "." in name}
    named = {text for text in OPERATIONS.code() if re.fullmatch(r"[a-z]+\.\w+", text)}
    ours = {text for text in named if text.partition(".")[0] in sections}
    files = {"store.db"}
    assert ours - files
    assert ours - files - SETTINGS.keys() - TABLES.keys() == set()


def commands() -> list[str]:
    """Return every line of the document that calls the program."""
    lines = [line for block in OPERATIONS.blocks("sh") for line in block.text.splitlines()]
    lines += [text for text in OPERATIONS.code() if text.startswith("syncbridge ")]
    (start,) = (line for line in unit_lines() if line.startswith("ExecStart="))
    return [*lines, start.partition("/bin/")[2]]


def unit_lines() -> list[str]:
    """Return the lines of the unit that are not comments."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line: str) -> None:
    """With its options and arguments; those that stand alone in the text may lack arguments."""
    program, *arguments = shlex.split(line)
    assert program == "syncbridge"
    context = syncbridge.make_context(program, arguments, resilient_parsing=False)
    group: click.Group = syncbridge
    rest = [*context._protected_args, *context.args]
    while True:
        name, command, rest = group.resolve_command(context, rest)
        assert command is not None
        if not isinstance(command, click.Group):
            break
        group = command
    command.make_context(name, rest, parent=context, resilient_parsing=not rest)


def test_a_service_is_installed_from_locked_releases() -> None:
    """Whatever is fetched has a hash; and what builds the bridge is not fetched once more."""
    steps = "\n".join(block.text for block in OPERATIONS.blocks("console"))
    installed = [line.partition("/bin/pip install ")[2] for line in steps.splitlines()]
    locked, built = (shlex.split(line) for line in installed if line)
    assert {"--require-hashes", "--only-binary"} < {*locked}
    assert (ROOT / locked[-1]).is_file()
    assert {"--no-index", "--no-deps", "--no-build-isolation"} < {*built}
    assert built[-1] == "."


def test_the_unit_is_well_formed() -> None:
    """Its sections, and that what it needs is in the document."""
    unit = configparser.RawConfigParser(strict=False, comment_prefixes=("#",), delimiters=("=",))
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    steps = "\n".join(block.text for block in OPERATIONS.blocks("console"))
    assert service["LoadCredential"].partition(":")[2] in steps
    assert service["User"] in steps
    assert f"/var/lib/{service['StateDirectory']}" in OPERATIONS.text
    statuses = {row[0] for row in OPERATIONS.table("exit status | why")}
    assert set(service["RestartPreventExitStatus"].split()) == statuses
