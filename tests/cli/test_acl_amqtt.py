"""`syncbridge acl amqtt`: with what it prints the embedded broker keeps everyone in place."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
import yaml

from bridge.broker import EmbeddedBroker
from bridge.cli import main
from bridge.cli.amqtt import PASSWORDS
from bridge.cli.status import ExitStatus
from bridge.config import BrokerConfig, Config, EmbeddedConfig, PermissionsConfig, StoreConfig
from tests.cli.conftest import Run
from tests.cli.principals import (
    BRIDGE,
    FENCE,
    FILE,
    PASSWORD,
    READS,
    SENDERS,
    WRITES,
    arrived,
    every_topic,
    logged_in,
    twin_topics,
    vanish,
)
from tests.support.bridge import WAIT_S, running_bridge
from tests.support.mosquitto import free_port

_V311 = aiomqtt.ProtocolVersion.V311
_DEVICES = ("--device", "lamp-1", "--device", "mallory")


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the printed commands make; each asks for a password."""
    directory = tmp_path_factory.mktemp("passwords")
    permissions = directory / "permissions.yaml"
    permissions.write_text(FILE)
    command = [sys.executable, "-m", "bridge", "acl", "amqtt", "--print", "logins", *_DEVICES]
    script = subprocess.run(
        [*command, "--file", str(permissions)], check=True, capture_output=True, text=True
    ).stdout
    file = directory / "passwords"
    for line in script.replace(PASSWORDS, str(file)).splitlines():
        # In a session of its own there is no terminal: the password is read from standard input.
        subprocess.run(
            ["sh", "-c", line.replace("python3", sys.executable)],
            input=f"{PASSWORD}\n",
            text=True,
            check=True,
            capture_output=True,
            start_new_session=True,
        )
    return file


@pytest.fixture
def configuration(
    permissions: Path, passwords: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> EmbeddedConfig:
    """What is printed, with a topic of the test's own for each login."""
    assert main(["acl", "amqtt", "--file", str(permissions), *_DEVICES]) == ExitStatus.OK
    content = yaml.safe_load(capsys.readouterr().out.replace(PASSWORDS, str(passwords)))
    for plugin in content["plugins"].values():
        for acl in ("publish_acl", "acl"):
            for login, topics in plugin.get(acl, {}).items():
                topics.append(f"{FENCE}/{login}")
    file = tmp_path / "broker.yaml"
    file.write_text(yaml.safe_dump(content))
    return EmbeddedConfig(port=free_port(), configuration=file)


@pytest.fixture
async def broker(configuration: EmbeddedConfig, tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """A running embedded broker with it."""
    async with EmbeddedBroker(configuration, tmp_path / "data") as running:
        yield running


async def test_each_login_publishes_where_the_embedded_broker_lets_it(
    broker: EmbeddedBroker,
) -> None:
    """Not for others and not as the bridge."""
    async with logged_in(broker, BRIDGE, "sync/#", protocol=_V311) as bridge:
        for sender in SENDERS:
            async with logged_in(broker, sender, protocol=_V311) as client:
                for topic in every_topic():
                    await client.publish(topic, b"x", retain=True)
                await client.publish(f"{FENCE}/{sender}", b"end")
                await client.next_message(f"{FENCE}/{sender}")
            assert await arrived(bridge, BRIDGE) == WRITES[sender], sender


async def test_each_login_reads_what_the_embedded_broker_lets_it(broker: EmbeddedBroker) -> None:
    """Whatever it subscribes to, whether that is granted or not."""
    topics = every_topic()
    async with logged_in(broker, BRIDGE, protocol=_V311) as bridge:
        for topic in topics[::2]:
            await bridge.publish(topic, b"x", retain=True)
        for reader in SENDERS:
            filters = ["#", "sync/#", "sync/+/+", "sync/+/+/+", "sync/lamp-1/#", *topics]
            filters += ["sync/+/state", "sync/+/+/state", "sync/+/+/event"]
            async with logged_in(broker, reader, *filters, protocol=_V311) as client:
                for topic in topics[1::2]:
                    await bridge.publish(topic, b"x")
                await bridge.publish(f"{FENCE}/{BRIDGE}", b"end")
                expected = READS[reader]
                if reader == "anna":
                    # One exception closes a subscription to all.
                    expected = expected - twin_topics(["lamp-1"], "state", "event", "delta")
                assert await arrived(client, reader) == expected, reader


async def test_a_last_will_is_refused_by_the_embedded_broker(broker: EmbeddedBroker) -> None:
    """With its client: amqtt itself would publish it without a look at the list."""
    async with logged_in(broker, BRIDGE, "sync/#", protocol=_V311) as bridge:
        for topic in ("lamp-1/state", "lamp-1/report", "$bridge/status"):
            await vanish(broker, "mallory", f"sync/{topic}")
        await vanish(broker, "lamp-2", "sync/lamp-2/presence")
        assert (await bridge.next_message()).topic.value == "sync/lamp-2/presence"
        assert await arrived(bridge, BRIDGE) == set()


async def test_who_takes_a_session_gets_nothing_of_it(broker: EmbeddedBroker) -> None:
    """Its client id is all that amqtt asks for; what it may read is its login's all the same."""

    def taking(user: str) -> aiomqtt.Client:
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=user,
            password=PASSWORD,
            identifier="found out",
            clean_session=False,
            protocol=_V311,
        )

    async with taking("lamp-1") as lamp:
        await lamp.subscribe("sync/lamp-1/reply/lamp-1", qos=1)
    async with logged_in(broker, BRIDGE, protocol=_V311) as bridge, taking("mallory") as mallory:
        await mallory.subscribe(f"{FENCE}/mallory", qos=1)
        await bridge.publish("sync/lamp-1/reply/lamp-1", b"secret")
        await bridge.publish(f"{FENCE}/{BRIDGE}", b"end")
        await bridge.next_message(f"{FENCE}/{BRIDGE}")
        await mallory.publish(f"{FENCE}/mallory", b"end", qos=1)
        async with asyncio.timeout(WAIT_S):
            assert (await anext(mallory.messages)).topic.value == f"{FENCE}/mallory"


async def test_who_has_no_login_is_not_let_in_by_the_embedded_broker(
    broker: EmbeddedBroker,
) -> None:
    """Nor one with another password, nor one without a name."""
    for user, password in (("nobody", PASSWORD), ("lamp-1", "another"), (None, None)):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(
                broker.host, broker.port, username=user, password=password, protocol=_V311
            ):
                pass


async def test_the_bridge_logs_in_to_its_embedded_broker(
    configuration: EmbeddedConfig, permissions: Path, tmp_path: Path
) -> None:
    """With the password of its configuration, and the patch of one device reaches the twin."""
    password_file = tmp_path / "password"
    await asyncio.to_thread(_write_secret, password_file)
    config = Config(
        broker=BrokerConfig(username=BRIDGE, password_file=password_file),
        embedded=configuration,
        store=StoreConfig(path=tmp_path / "bridge" / "store.db"),
        permissions=PermissionsConfig(file=permissions),
    )
    async with running_bridge(config) as bridge:
        assert bridge.port is not None
        async with logged_in(bridge, "lamp-1", "sync/lamp-1/reply/lamp-1", protocol=_V311) as lamp:
            await lamp.publish("sync/lamp-2/report", {"forged": True, "$": {"id": "1"}})
            await lamp.publish("sync/lamp-1/report", {"on": True, "$": {"id": "2"}})
            assert (await lamp.next("sync/lamp-1/reply/lamp-1"))["$"]["id"] == "2"
            assert await bridge.run_store(lambda store: store.count_twins()) == 1


def _write_secret(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_text(PASSWORD)


def test_what_the_embedded_broker_cannot_express_is_listed(run: Run, permissions: Path) -> None:
    """Denials and exceptions too, as it knows none."""
    out = run("acl", "amqtt", "--file", str(permissions), *_DEVICES).out
    assert "# What amqtt cannot express:" in out
    assert "deny read write" in out
    assert "#   the bridge refuses what is denied" in out
