"""`syncbridge acl`: a real Mosquitto with the list lets each principal do what it may."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiomqtt
import pytest

from bridge.cli import main
from bridge.cli.status import ExitStatus
from bridge.config import BrokerConfig, Config, PermissionsConfig, StoreConfig
from tests.cli.conftest import Run
from tests.cli.principals import (
    BRIDGE,
    FENCE,
    PASSWORD,
    READS,
    SENDERS,
    WRITES,
    arrived,
    every_topic,
    logged_in,
    vanish,
)
from tests.docs.markdown import Document
from tests.support.bridge import running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.services import require_program


@pytest.fixture
def broker(
    permissions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Mosquitto]:
    """A Mosquitto with the list that is printed, and a topic of the test's own."""
    assert main(["acl", "mosquitto", "--file", str(permissions)]) == ExitStatus.OK
    acl = capsys.readouterr().out
    fence = f"\npattern readwrite {FENCE}/%u\n"
    users = dict.fromkeys((BRIDGE, *SENDERS), PASSWORD)
    with Mosquitto(tmp_path / "mosquitto", users=users, acl=acl + fence) as running:
        yield running


@pytest.mark.parametrize("sender", SENDERS)
async def test_each_login_publishes_where_it_may_and_nowhere_else(
    broker: Mosquitto, sender: str
) -> None:
    """Not for others, not as the bridge, and not retained either."""
    topics = every_topic()
    async with (
        logged_in(broker, BRIDGE, "sync/#") as bridge,
        logged_in(broker, sender) as client,
    ):
        for topic in topics:
            await client.publish(topic, b"x", retain=True)
        assert await arrived(bridge, BRIDGE) == WRITES[sender]


@pytest.mark.parametrize("reader", SENDERS)
@pytest.mark.parametrize("filters", [("#",), ("sync/+/+", "sync/+/+/+", "sync/+/+/+/+")])
async def test_each_login_reads_what_it_may_and_nothing_else(
    broker: Mosquitto, reader: str, filters: tuple[str, ...]
) -> None:
    """Whatever it subscribes to; the retained and the live."""
    topics = every_topic()
    async with logged_in(broker, BRIDGE) as bridge:
        for topic in topics[::2]:
            await bridge.publish(topic, b"x", retain=True)
        async with logged_in(broker, reader, *filters) as client:
            for topic in topics[1::2]:
                await bridge.publish(topic, b"x")
            # The bridge's last message is behind all others; the reader's own is behind that.
            await bridge.publish(f"{FENCE}/{BRIDGE}", b"end")
            assert await arrived(client, reader) == READS[reader]


@pytest.mark.parametrize("reader", SENDERS)
async def test_a_shared_subscription_shows_no_more(broker: Mosquitto, reader: str) -> None:
    """Though nobody else is in its group."""
    topics = every_topic()
    async with (
        logged_in(broker, BRIDGE) as bridge,
        logged_in(broker, reader, "$share/group/sync/#", "$share/group/+/+/+") as client,
    ):
        for topic in topics:
            await bridge.publish(topic, b"x")
        await bridge.publish(f"{FENCE}/{BRIDGE}", b"end")
        assert await arrived(client, reader) <= READS[reader]


async def test_a_last_will_is_no_way_around(broker: Mosquitto) -> None:
    """The broker publishes it for its client, with that client's rights."""
    async with logged_in(broker, BRIDGE, "sync/#") as bridge:
        for topic in ("lamp-1/state", "lamp-1/report", "lamp-1/presence", "$bridge/status"):
            await vanish(broker, "mallory", f"sync/{topic}")
        await vanish(broker, "lamp-2", "sync/lamp-2/presence")
        message = await bridge.next_message()
        assert (message.topic.value, message.payload) == ("sync/lamp-2/presence", b"offline")
        assert await arrived(bridge, BRIDGE) == set()


def make_config(broker: Mosquitto, permissions: Path, directory: Path) -> Config:
    """The configuration of a bridge with its own login, and with the permissions."""
    password_file = directory / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)
    return Config(
        broker=BrokerConfig(
            url=f"mqtt://{broker.host}:{broker.port}",
            username=BRIDGE,
            password_file=password_file,
        ),
        store=StoreConfig(path=directory / "store.db"),
        permissions=PermissionsConfig(file=permissions),
    )


async def test_bridge_and_broker_together_let_nothing_through(
    broker: Mosquitto, permissions: Path, tmp_path: Path
) -> None:
    """What the list leaves open the bridge refuses, and what is allowed works."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_bridge(make_config(broker, permissions, tmp_path)))
        clients = {
            name: await stack.enter_async_context(logged_in(broker, name, "sync/#"))
            for name in SENDERS
        }

        async def desire(writer: str, device: str, **patch: object) -> object:
            body = {**patch, "$": {"id": "1"}}
            await clients[writer].publish(f"sync/{device}/desire/{writer}", body)
            reply = await clients[writer].next(f"sync/{device}/reply/{writer}")
            return reply["$"].get("code", "ok")

        await clients["lamp-1"].publish("sync/lamp-1/report", {"on": False, "power": 7})
        await clients["viewer"].until_version("sync/lamp-1/state", 1)
        assert await desire("bert", "lamp-1", on=True) == "ok"
        assert await desire("bert", "lamp-1", scene="night") == 403
        assert await desire("lamp-2", "lamp-1", on=False) == "ok"
        assert await desire("lamp-2", "lamp-1", power=1) == 403
        assert await desire("anna", "lamp-2", on=True) == "ok"
        assert await desire("anna", "lamp-2", secret=1) == 403
        state = await clients["viewer"].until_version("sync/lamp-1/state", 3)
        assert (state["desired"], state["reported"]["power"]) == ({"on": False}, 7)
        await clients["bert"].publish("sync/lamp-1/get/bert")
        answer = await clients["bert"].next("sync/lamp-1/reply/bert")
        assert (answer["desired"], answer["reported"]) == ({"on": False}, {})
        # In bert's and mallory's names nothing reaches the bridge.
        for forger in ("bert", "mallory"):
            await clients[forger].publish("sync/lamp-1/desire/anna", {"forged": True})
            await clients[forger].publish("sync/lamp-1/report", {"forged": True})
            await clients[forger].publish("sync/lamp-1/state", {"version": 99}, retain=True)
        await clients["lamp-1"].publish("sync/lamp-1/get/lamp-1")
        whole = await clients["lamp-1"].next("sync/lamp-1/reply/lamp-1")
        assert "forged" not in {*whole["desired"], *whole["reported"]}
        assert await arrived(clients["mallory"], "mallory") == set()


@pytest.mark.parametrize("binds", [False, True])
async def test_nobody_takes_the_bridges_session(
    binds: bool, permissions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its client id is random; or it is the login, whatever a client says."""
    assert main(["acl", "mosquitto", "--file", str(permissions)]) == ExitStatus.OK
    acl = capsys.readouterr().out + f"\npattern readwrite {FENCE}/%u\n"
    users = dict.fromkeys((BRIDGE, *SENDERS), PASSWORD)
    extra = "use_username_as_clientid true" if binds else ""
    with Mosquitto(tmp_path / "mosquitto", users=users, acl=acl, extra=extra) as broker:
        async with running_bridge(make_config(broker, permissions, tmp_path)) as bridge:
            session = bridge.session
            metadata = await bridge.run_store(lambda store: store.metadata())
            # What is guessed; and, where ids are bound to logins, even what it was found out to be.
            for identifier in (BRIDGE, *([metadata["client_id"]] if binds else [])):
                async with aiomqtt.Client(
                    broker.host,
                    broker.port,
                    username="mallory",
                    password=PASSWORD,
                    identifier=identifier,
                    clean_session=True,
                ):
                    pass
            async with logged_in(broker, "lamp-1", "#") as lamp:
                await lamp.publish("sync/lamp-1/report", {"on": True, "$": {"id": "1"}})
                await lamp.next("sync/lamp-1/reply/lamp-1")
            assert bridge.session == session


def test_the_list_names_the_rules_that_it_cannot_express(run: Run, permissions: Path) -> None:
    """With their lines; the name of a client is nowhere."""
    status, out, err = run("acl", "mosquitto", "--file", str(permissions))
    assert (status, err) == (0, "")
    listed = re.findall(r"^# line (\d+), ", out, re.MULTILINE)
    assert [int(line) for line in listed] == [7, 11, 14, 21]
    assert "%c" not in out


def test_prefix_and_login_are_those_of_the_configuration(
    run: Run, permissions: Path, tmp_path: Path
) -> None:
    """The option is stronger."""
    (tmp_path / "bridge.yaml").write_text(
        f"prefix: plant/7\nbroker:\n  username: hub\npermissions:\n  file: {permissions}\n"
    )
    out = run("acl", "mosquitto").out
    assert "user hub\ntopic readwrite plant/7/#\n" in out
    assert "pattern write plant/7/%u/report\n" in out
    assert "sync/" not in out
    assert "user other\n" in run("acl", "mosquitto", "--bridge-login", "other").out


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("default: development\n", (), "cannot be listed"),
        ("principals: [syncbridge]\n", (), "is a principal or a device"),
        ("", ("--bridge-login", "a b"), "can be no name"),
        ("", ("--prefix", "a/%c"), "cannot stand in a list"),
    ],
)
def test_what_cannot_be_listed_is_refused(
    run: Run, permissions: Path, text: str, options: tuple[str, ...], reason: str
) -> None:
    """Instead of a list that says something else."""
    permissions.write_text(text)
    status, out, err = run("acl", "mosquitto", "--file", str(permissions), *options)
    assert (status, out) == (ExitStatus.USAGE, "")
    assert reason in err


def test_the_configuration_is_the_documented_one(run: Run, permissions: Path) -> None:
    """Which a test of the document starts a Mosquitto with."""
    (block,) = Document("operations.md").blocks("mosquitto")
    out = run("acl", "mosquitto", "--file", str(permissions), "--print", "configuration").out
    assert out == block.text + "\n"


def test_the_printed_commands_make_the_logins(run: Run, permissions: Path, tmp_path: Path) -> None:
    """Run as they stand, but for the file, its owner, and the passwords, which they ask for."""
    out = run("acl", "mosquitto", "--file", str(permissions), "--print", "logins").out
    passwords = tmp_path / "passwords"
    lines = out.replace("/etc/mosquitto/passwords", str(passwords)).splitlines()
    for line in lines:
        program, *words = shlex.split(line, comments=True) or [""]
        if program == "mosquitto_passwd":
            command = [require_program(program), "-b", *words, PASSWORD]
            subprocess.run(command, check=True)
        elif program in ("touch", "chmod"):
            subprocess.run([program, *words], check=True)
    names = [line.partition(":")[0] for line in passwords.read_text().splitlines()]
    assert names == [BRIDGE, "anna", "bert", "viewer", "lamp-2"]
    assert stat.S_IMODE(passwords.stat().st_mode) & 0o077 == 0
