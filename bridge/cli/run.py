"""`syncbridge run`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

import click

from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import command

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.service import Bridge


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
    """Run the bridge until Ctrl-C or SIGTERM; SIGHUP makes it read permissions and schemas again.

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
    """Run a bridge until SIGINT or SIGTERM; SIGHUP makes it read permissions and schemas again.

    A terminal that is closed sends SIGHUP too; that ends what was started in it.

    Raises:
        SyncbridgeError: It could not start, or cannot go on.
    """
    from bridge.service import Bridge

    loop = asyncio.get_running_loop()
    stopping, reloading = asyncio.Event(), asyncio.Event()
    # Whoever starts it with nohup wants it to outlive its terminal.
    has_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN

    def hang_up() -> None:
        (stopping if has_terminal and not _has_terminal() else reloading).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    async with Bridge(config) as bridge:
        running = asyncio.create_task(_run(bridge, reloading))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if running.done():
            running.result()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _run(bridge: Bridge, reloading: asyncio.Event) -> None:
    """Run a bridge, and have it read again what it can each time that is asked for."""
    reload = asyncio.create_task(_reload_each_time(bridge, reloading))
    try:
        await bridge.wait()
    finally:
        reload.cancel()


async def _reload_each_time(bridge: Bridge, reloading: asyncio.Event) -> None:
    from bridge.api.acting import Actor

    while True:
        await reloading.wait()
        reloading.clear()
        await bridge.administrator.reload(Actor("signal", ""))


def _has_terminal() -> bool:
    """Tell whether this process has a terminal that controls it (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
