"""The command line. One file per command; `main` is what the installed program calls."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bridge.cli.group import syncbridge
from bridge.cli.status import ExitStatus, status_of
from bridge.cli.terminal import print_error
from bridge.cli.text import printable
from bridge.errors import AdminRefused, Refused, SyncbridgeError

__all__ = ["ExitStatus", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status.

    Args:
        argv: Arguments without the program's name; `sys.argv`'s by default.
    """
    try:
        result = syncbridge.main(argv, prog_name="syncbridge", standalone_mode=False)
    except (AdminRefused, Refused) as error:
        # What was refused may be quoted in it: keys and values that anybody has sent.
        print_error(printable(error.message), printable(error.hint))
        return status_of(error)
    except SyncbridgeError as error:
        print_error(error.message, error.hint)
        return status_of(error)
    except click.Abort:
        return ExitStatus.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except SystemExit:
        # click leaves this way when the reader of a pipe has gone, as after `| head -1`: it has
        # had what it wanted.
        return ExitStatus.OK
    return result if isinstance(result, int) else ExitStatus.OK
