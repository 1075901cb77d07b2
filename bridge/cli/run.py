"""`syncbridge run`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import click

from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import command

if TYPE_CHECKING:
    from bridge.config import Config


@command("run")
@click.option(
    "--store", "store_path", metavar="FILE", help="The store. Default: syncbridge-data/store.db."
)
@click.option(
    "--embedded-port",
    metavar="PORT",
    help="Port of the embedded broker, used where no broker is given. Default: 1883.",
)
@pass_invocation
def run(invocation: Invocation, store_path: str | None, embedded_port: str | None) -> None:
    """Run the bridge until Ctrl-C or SIGTERM.

    Without a broker it starts the embedded one, on this machine only, for trying things out.

    \b
    Examples:
      syncbridge run
      syncbridge run --broker mqtt://localhost:1883
      syncbridge run --broker mqtt://broker.example:1883 --username bridge \\
          --password-file /run/secrets/mqtt
    """  # noqa: D301
    from bridge import logs
    from bridge.cli import event_loop

    flags = {"store.path": store_path, "embedded.port": embedded_port}
    given = {name: value for name, value in flags.items() if value is not None}
    config = invocation.load(given).config
    logs.configure(config.log)
    event_loop.run(run_until_signal(config))


async def run_until_signal(config: Config) -> None:
    """Run a bridge until SIGINT, SIGTERM or SIGHUP, which a closed terminal sends.

    Raises:
        SyncbridgeError: It could not start, or cannot go on.
    """
    from bridge.service import Bridge

    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    async with Bridge(config) as bridge:
        running = asyncio.create_task(bridge.wait())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if running.done():
            running.result()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
