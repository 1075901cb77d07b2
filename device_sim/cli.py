"""The command line of the simulator; `main` is what the installed program calls."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bridge import __version__
from bridge.errors import SyncbridgeError
from device_sim.commands.check import check
from device_sim.commands.enrol import enrol
from device_sim.commands.faults import faults
from device_sim.commands.kinds import kinds
from device_sim.commands.listing import print_list
from device_sim.commands.replay import replay
from device_sim.commands.run import run
from device_sim.commands.scenarios import scenarios
from device_sim.exits import ExitStatus, status_of

__all__ = ["ExitStatus", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_list,
    help="List what can be simulated, and exit.",
)
@click.version_option(__version__, prog_name="device-sim", message="%(prog)s %(version)s")
def device_sim() -> None:
    """Simulate devices, to try a broker, a bridge or an application before the real ones come.

    Fleets of thousands with real connections, faults by a seed, and a report at the end; all of it
    is in docs/simulator.md.

    \b
    A hundred devices for half a minute, beside `syncbridge run --broker mqtt://127.0.0.1:1883`:
      device-sim run --devices 100 --rate 2 --seed 7 --for 30s
    \b
    What real devices have said, as lamp-1 would say it:
      device-sim replay morning.json noon.json --as lamp-1
    \b
    Whether a fleet, real or not, has lost anything in ten minutes:
      device-sim check --for 10m --store syncbridge-data/store.db
    \b
    Exit status: 0 all twins are right, 1 one differs or a promise was broken, 2 wrong usage,
    3 no broker or no bridge, 4 the bridge refused a replayed document, 130 interrupted before there
    was anything to sum up.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


for _command in (run, check, replay, enrol, kinds, scenarios, faults):
    device_sim.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status.

    Args:
        argv: Arguments without the program's name; `sys.argv`'s by default.
    """
    try:
        result = device_sim.main(argv, prog_name="device-sim", standalone_mode=False)
    except SyncbridgeError as error:
        click.echo(f"device-sim: {error.message}", err=True)
        if error.hint:
            click.echo(f"  hint: {error.hint}", err=True)
        return status_of(error)
    except click.Abort:
        return ExitStatus.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except SystemExit:
        # click leaves this way when the reader of a pipe has gone, as after `| head -1`.
        return ExitStatus.OK
    return result if isinstance(result, int) else ExitStatus.OK
