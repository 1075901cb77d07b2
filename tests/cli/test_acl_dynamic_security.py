"""`syncbridge acl mosquitto --dynamic-security`: a real Mosquitto with what the script makes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from bridge.cli import main
from bridge.cli.status import ExitStatus
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
    vanish,
)
from tests.support.bridge import WAIT_S
from tests.support.mosquitto import Mosquitto
from tests.support.services import require_program

_ADMIN = "admin"
_DEVICES = ("--device", "lamp-1", "--device", "mallory")


class DynamicMosquitto(Mosquitto):
    """A Mosquitto with the printed configuration, moved to a directory and port of the test."""

    def __init__(self, directory: Path, printed: str) -> None:
        super().__init__(directory)
        (listener,) = [line for line in printed.splitlines() if line.startswith("listener ")]
        text = printed.replace(listener, f"listener {self.port} 127.0.0.1")
        text = text.replace("/var/lib/mosquitto/", f"{directory}/")
        (directory / "mosquitto.conf").write_text(text + "\nuser root\n")
        self.roles = directory / "dynamic-security.json"
        assert f"plugin_opt_config_file {self.roles}\n" in text

    @property
    def options(self) -> list[str]:
        """The administrator's, for the programs of Mosquitto."""
        return ["-h", self.host, "-p", str(self.port), "-u", _ADMIN, "-P", PASSWORD]


def printed(permissions: Path, *arguments: str) -> str:
    """What the command prints."""
    words = ["acl", "mosquitto", "--dynamic-security", "--file", str(permissions), *_DEVICES]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([*words, *arguments]) == ExitStatus.OK
    return out.getvalue()


def run_script(broker: DynamicMosquitto, script: str) -> list[dict[str, str]]:
    """Run a script as its first lines say, and return the answers to its commands."""
    done = subprocess.run(
        ["sh", "-s", "--", *broker.options],
        input=script,
        check=True,
        capture_output=True,
        text=True,
    )
    answers: list[dict[str, str]] = []
    for line in done.stdout.splitlines():
        answers += json.loads(line)["responses"]
    return answers


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a Mosquitto keeps of roles, clients, passwords, and a topic of the tests' own for each.

    Made once by what is printed: that takes many programs.
    """
    directory = tmp_path_factory.mktemp("roles")
    permissions = directory / "permissions.yaml"
    permissions.write_text(FILE)
    broker = DynamicMosquitto(directory, printed(permissions, "--print", "configuration"))
    control = require_program("mosquitto_ctrl")
    subprocess.run(
        [control, "dynsec", "init", str(broker.roles), _ADMIN, PASSWORD],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with broker:
        answers = run_script(broker, printed(permissions))
        assert [answer for answer in answers if "error" in answer] == []
        for line in printed(permissions, "--print", "logins").splitlines():
            program, _, *words = shlex.split(line)
            subprocess.run(
                [require_program(program), *broker.options, *words, PASSWORD], check=True
            )
        _add_fences(broker)
        broker.stop()
    return broker.roles


@pytest.fixture
def broker(roles: Path, permissions: Path, tmp_path: Path) -> Iterator[DynamicMosquitto]:
    """A Mosquitto with a copy of them."""
    configuration = printed(permissions, "--print", "configuration")
    made = DynamicMosquitto(tmp_path / "mosquitto", configuration)
    shutil.copy(roles, made.roles)
    with made as running:
        yield running


def _add_fences(broker: DynamicMosquitto) -> None:
    commands = [
        {
            "command": "addRoleACL",
            "rolename": f"syncbridge-{name}",
            "acltype": acl,
            "topic": f"{FENCE}/{name}",
            "allow": True,
        }
        for name in (BRIDGE, *SENDERS)
        for acl in ("subscribePattern", "publishClientSend", "publishClientReceive")
    ]
    topic = "$CONTROL/dynamic-security/v1"
    words = [*broker.options, "-t", topic, "-e", f"{topic}/response"]
    subprocess.run(
        [require_program("mosquitto_rr"), *words, "-m", json.dumps({"commands": commands})],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("sender", SENDERS)
async def test_each_login_publishes_where_its_role_lets_it(
    broker: DynamicMosquitto, sender: str
) -> None:
    """As with the list in a file."""
    async with (
        logged_in(broker, BRIDGE, "sync/#") as bridge,
        logged_in(broker, sender) as client,
    ):
        for topic in every_topic():
            await client.publish(topic, b"x", retain=True)
        assert await arrived(bridge, BRIDGE) == WRITES[sender]


@pytest.mark.parametrize("reader", SENDERS)
async def test_each_login_reads_what_its_role_lets_it(
    broker: DynamicMosquitto, reader: str
) -> None:
    """Whatever it subscribes to, whether that is granted or not."""
    topics = every_topic()
    filters = ["#", "sync/#", "sync/+/+", "sync/+/+/+", "$share/group/sync/#", *topics]
    filters += ["sync/+/state", "sync/+/+/state", "sync/+/+/event", f"sync/+/reply/{reader}"]
    async with logged_in(broker, BRIDGE) as bridge:
        for topic in topics[::2]:
            await bridge.publish(topic, b"x", retain=True)
        async with logged_in(broker, reader, *filters) as client:
            for topic in topics[1::2]:
                await bridge.publish(topic, b"x")
            await bridge.publish(f"{FENCE}/{BRIDGE}", b"end")
            assert await arrived(client, reader) == READS[reader]


async def test_a_last_will_is_published_with_the_rights_of_its_role(
    broker: DynamicMosquitto,
) -> None:
    """Of its own presence, and of nothing else."""
    async with logged_in(broker, BRIDGE, "sync/#") as bridge:
        for topic in ("lamp-1/state", "lamp-1/report", "$bridge/status"):
            await vanish(broker, "mallory", f"sync/{topic}")
        await vanish(broker, "lamp-2", "sync/lamp-2/presence")
        assert (await bridge.next_message()).topic.value == "sync/lamp-2/presence"
        assert await arrived(bridge, BRIDGE) == set()


async def test_who_has_no_client_or_no_password_is_not_let_in(broker: DynamicMosquitto) -> None:
    """A client is made without a password, which nobody can know."""
    for user, password in (("nobody", PASSWORD), ("lamp-1", "another"), (None, None)):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(broker.host, broker.port, username=user, password=password):
                pass


async def test_a_stolen_device_is_shut_out_at_the_broker(broker: DynamicMosquitto) -> None:
    """At once, while it is connected, and for ever; the others stay."""
    control = require_program("mosquitto_ctrl")
    command = [control, *broker.options, "dynsec", "disableClient", "lamp-1"]
    async with logged_in(broker, "lamp-2") as other:
        with pytest.raises(aiomqtt.MqttError):
            async with logged_in(broker, "lamp-1") as stolen, asyncio.timeout(WAIT_S):
                await asyncio.to_thread(subprocess.run, command, check=True)
                while True:
                    await stolen.publish("sync/lamp-1/report", b"x")
        with pytest.raises(aiomqtt.MqttError):
            async with logged_in(broker, "lamp-1"):
                pass
        assert await arrived(other, "lamp-2") == set()


async def test_running_it_again_brings_the_roles_up_to_date(
    broker: DynamicMosquitto, permissions: Path
) -> None:
    """What is there stays, with its password, and has the rights of today."""
    await asyncio.to_thread(permissions.write_text, "principals: [anna, bert, viewer, lamp-2]\n")
    errors = {answer.get("error") for answer in run_script(broker, printed(permissions))}
    assert errors == {None, "Role already exists", "Client already exists"}
    _add_fences(broker)
    async with (
        logged_in(broker, BRIDGE, "sync/#") as bridge,
        logged_in(broker, "anna") as anna,
    ):
        await anna.publish("sync/lamp-1/desire/anna", b"x")
        await anna.publish("sync/anna/report", b"x")
        assert await arrived(bridge, BRIDGE) == {"sync/anna/report"}


async def test_a_login_with_very_many_rights_has_them_all(
    broker: DynamicMosquitto, permissions: Path
) -> None:
    """In requests that are as long as an argument of a program may be, and no longer."""
    devices = [f"    device-{number}:\n      desired.**: write\n" for number in range(300)]
    text = f"principals: [anna]\nrules:\n  anna:\n{''.join(devices)}"
    await asyncio.to_thread(permissions.write_text, text)
    script = printed(permissions)
    requests = [line for line in script.splitlines() if line.startswith("mosquitto_rr ")]
    assert len(requests) > 1
    assert max(map(len, requests)) < 128 * 1024
    run_script(broker, script)
    _add_fences(broker)
    async with (
        logged_in(broker, BRIDGE, "sync/#") as bridge,
        logged_in(broker, "anna") as anna,
    ):
        for name in ("device-0", "device-299", "device-300"):
            await anna.publish(f"sync/{name}/desire/anna", b"x")
        expected = {"sync/device-0/desire/anna", "sync/device-299/desire/anna"}
        assert await arrived(bridge, BRIDGE) == expected


def test_the_script_lists_what_the_broker_cannot_express(run: Run, permissions: Path) -> None:
    """As the list does, and with a role for each device that is named."""
    words = ["acl", "mosquitto", "--file", str(permissions)]
    script = run(*words, "--dynamic-security", *_DEVICES).out
    comments = [line for line in run(*words).out.splitlines() if line.startswith("# line ")]
    assert comments
    assert [line for line in script.splitlines() if line.startswith("# line ")] == comments
    assert '"username": "mallory"' in script
    assert "password" not in script
