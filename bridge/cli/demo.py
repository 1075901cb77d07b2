"""`syncbridge demo`."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import click
from rich.console import Console

from bridge import logs
from bridge.cli.demo_view import LineView, TableView, View
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mqtt import BrokerClient
from bridge.cli.observed import RetainedTopics, Watcher
from bridge.cli.options import command
from bridge.cli.published import read_published
from bridge.cli.terminal import is_terminal, print_note
from bridge.cli.text import DURATION
from bridge.config import Address, BrokerConfig, Config, LogConfig
from bridge.errors import BrokerError
from bridge.service import Bridge
from device_sim import Broker, Fleet, FleetOptions, Summary

DEFAULT_STORE = Path("syncbridge-data/demo.db")
"""Beside the store of `syncbridge run`, and not that one: the demo's devices are not real."""

DEFAULT_PORT = 1883
PORTS_TRIED = 20
"""Ports tried from the default one on: many a machine has a Mosquitto on the first."""

DEVICES_MAX = 200
"""Most devices: the embedded broker keeps up with them on a small machine."""

REFRESH_S = 0.25
"""Four times a second is as much as an eye follows."""

REPORTS_HZ = 0.5
"""Reports of each device per second."""

DESIRED_HZ = 0.5
"""Desired changes per second for the fleet, so that there is nearly always a delta to be seen."""

RAMP_HZ = 25.0
"""Devices switched on per second: at each connection amqtt goes through all that it retains."""

CONVERGE_S = 5.0
"""How long the end waits for the last answers."""


@command("demo")
@click.option(
    "--devices",
    type=click.IntRange(1, DEVICES_MAX),
    default=20,
    metavar="N",
    help="How many devices to simulate. Default: 20.",
)
@click.option("--for", "duration_s", type=DURATION, metavar="DURATION", help="End after that time.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Port of the broker on 127.0.0.1. Default: 1883, or the next one that is free.",
)
@click.option(
    "--store",
    "store_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    metavar="FILE",
    help=f"Where the twins are kept. Default: {DEFAULT_STORE}.",
)
@pass_invocation
def demo(
    invocation: Invocation,
    devices: int,
    duration_s: float | None,
    port: int | None,
    store_path: Path,
) -> None:
    """Show a broker, a bridge and simulated devices at work, with lines to try beside them.

    Needs nothing and touches nothing else: the broker is the embedded one, for this machine only,
    and the twins are kept in a file of their own, from which the next demo goes on.

    \b
    Examples:
      syncbridge demo
      syncbridge demo --devices 100 --for 30s
      syncbridge demo --port 18830 --store /tmp/demo.db

    Ctrl-C ends it, with status 0: the devices say goodbye, and everything is on disk. Without a
    terminal each change is one line, as `syncbridge watch` prints it.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if "broker.url" in invocation.flags:
        raise click.UsageError(
            "the demo brings its own broker, so that its devices do not mix with real ones; "
            "see `device-sim run` for a fleet on another"
        )
    config = _config(invocation, port, store_path)
    logs.configure(config.log)
    options = FleetOptions(
        broker=Broker("127.0.0.1", config.embedded.port),
        prefix=config.prefix,
        devices=devices,
        rate_hz=REPORTS_HZ,
        desired_rate_hz=DESIRED_HZ,
        ramp_hz=RAMP_HZ,
        duration_s=duration_s,
        converge_s=CONVERGE_S,
    )
    print_note(f"Starting a broker on port {config.embedded.port}, and a bridge beside it …")
    summary = asyncio.run(_run(config, Fleet(options)))
    _print_end(summary, store_path)


def _config(invocation: Invocation, port: int | None, store_path: Path) -> Config:
    """Return the configuration, with the embedded broker whatever else is configured."""
    flags = {"embedded.port": _port(port), "store.path": store_path}
    loaded = invocation.load(flags)
    changes: dict[str, object] = {"broker": BrokerConfig()}
    if loaded.origins["log.level"] == "default":
        # What is in order need not be said over and over beside a table.
        changes["log"] = LogConfig(level="warning", format=loaded.config.log.format)
    return loaded.config.model_copy(update=changes)


def _port(wanted: int | None) -> int:
    """Return the port that was asked for, or one that is free.

    Raises:
        BrokerError: It is in use, or all that are tried are.
    """
    if wanted is not None:
        if _is_free(wanted):
            return wanted
        raise BrokerError(
            f"port {wanted} of 127.0.0.1 is in use",
            hint="name another with --port, or leave it out and the demo finds one",
        )
    last = DEFAULT_PORT + PORTS_TRIED - 1
    for port in range(DEFAULT_PORT, last + 1):
        if _is_free(port):
            return port
    raise BrokerError(
        f"no port from {DEFAULT_PORT} to {last} is free", hint="name another with --port"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the broker does: connections that have just ended are in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def _run(config: Config, fleet: Fleet) -> Summary:
    """Run broker, bridge and fleet until the time is over or somebody ends it.

    Raises:
        SyncbridgeError: One of them could not start, or cannot go on.
    """
    loop = asyncio.get_running_loop()
    async with Bridge(config) as bridge:
        await bridge.wait_until_connected()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, fleet.stop)
        # One after the other: amqtt drops a client that connects while another one subscribes.
        # The devices that this happens to come again.
        async with _watched(config) as client:
            running = asyncio.create_task(fleet.run(), name="fleet")
            # These two have no end of their own; if one ends, it has failed.
            serving = asyncio.create_task(bridge.wait(), name="bridge")
            showing = asyncio.create_task(_show(client, config, fleet), name="view")
            tasks: list[asyncio.Task[Summary] | asyncio.Task[None]] = [running, serving, showing]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in (serving, showing):
                    if task.done():
                        task.result()
                return await running
            finally:
                for each in tasks:
                    each.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _watched(config: Config) -> AsyncIterator[BrokerClient]:
    """A connection on which all that the bridge retains arrives."""
    client = BrokerClient(Address("127.0.0.1", config.embedded.port), stay=True)
    await asyncio.to_thread(client.__enter__)
    with ExitStack() as stack:
        stack.push(client)
        filters = RetainedTopics(config.prefix).filters((), "")
        await asyncio.to_thread(client.subscribe, filters, qos=0)
        yield client


async def _show(client: BrokerClient, config: Config, fleet: Fleet) -> None:
    """Show what the broker retains, until cancelled."""
    topics = RetainedTopics(config.prefix)
    watcher = Watcher()

    def step(note: str) -> None:
        message = client.receive(REFRESH_S)
        while message is not None:
            observed = read_published(topics, message)
            change = None if observed is None else watcher.take(observed)
            if change is not None:
                view.take(change)
            message = client.receive(0)
        view.refresh(note)

    with _view(config, fleet) as view:
        while True:
            # In a thread, because a terminal that is stopped must not stop the bridge.
            drawing = asyncio.ensure_future(asyncio.to_thread(step, _note(fleet)))
            try:
                await asyncio.shield(drawing)
            finally:
                await asyncio.wait({drawing})


def _note(fleet: Fleet) -> str:
    progress = fleet.progress()
    return (
        f"{progress.phase}: {progress.online} devices online, "
        f"{progress.acknowledged} reports acknowledged"
    )


def _view(config: Config, fleet: Fleet) -> View:
    kinds = {device: each.kind.name for device, each in fleet.devices.items()}
    lines = _lines_to_try(config, kinds)
    return TableView(Console(), kinds, lines) if is_terminal() else LineView(lines)


def _lines_to_try(config: Config, kinds: dict[str, str]) -> list[str]:
    port = config.embedded.port
    at_port = "" if port == DEFAULT_PORT else f" -p {port}"
    at_broker = "" if port == DEFAULT_PORT else f" --broker mqtt://127.0.0.1:{port}"
    at_prefix = "" if config.prefix == "sync" else f" --prefix {shlex.quote(config.prefix)}"
    lamp = next((device for device, kind in kinds.items() if kind == "lamp"), next(iter(kinds)))
    program = _program()
    where = "" if program == "syncbridge" else ", in this directory"
    return [
        f"Try beside it, in another terminal{where}:",
        f"  mosquitto_sub{at_port} -v -t {shlex.quote(config.prefix + '/+/state')}",
        f"  mosquitto_pub{at_port} -q 1 -t {shlex.quote(config.prefix + '/my-lamp/report')}"
        """ -m '{"on":true}'""",
        f"  {program} set{at_broker}{at_prefix} {lamp} desired.on=true",
        "Ctrl-C ends it.",
    ]


def _program() -> str:
    """Return how this program is called here, so that the lines work when they are copied."""
    if shutil.which("syncbridge"):
        return "syncbridge"
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m bridge"
    return shlex.quote(os.path.relpath(called) if called.exists() else "syncbridge")


def _print_end(summary: Summary, store_path: Path) -> None:
    click.echo(
        f"{summary.acknowledged} reports acknowledged; "
        f"{summary.twins_equal} of {summary.devices} twins are what their devices believe"
    )
    click.echo(
        f"Everything is on disk in {store_path}; see: "
        f"{_program()} store check --store {shlex.quote(str(store_path))}"
    )
