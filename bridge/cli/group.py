"""The program itself: a group whose commands are imported when they are called.

Start-up counts on the small machines that this runs on, and in shell loops. What a command does
not use is not imported.
"""

from __future__ import annotations

from importlib import import_module

import click

from bridge import __version__
from bridge.cli.options import common_options

# Command -> its summary; it is the object of that name in the module of that name.
COMMANDS = {
    "run": "Run the bridge.",
    "demo": "Show a broker, a bridge and simulated devices at work.",
    "get": "Print a twin, or one value of it.",
    "set": "Change a twin.",
    "watch": "Show changes as they happen.",
    "delete": "Delete a twin.",
    "devices": "List the devices.",
    "query": "List the twins that a query finds.",
    "fleet": "Change a whole fleet, in stages that halt by themselves.",
    "history": "List the changes of a twin.",
    "diff": "Show how a twin differs at two versions.",
    "rollback": "Bring a twin back to what it was.",
    "conflicts": "List the writes that lost against another one.",
    "writers": "List who numbers their messages to a twin.",
    "quarantine": "List the messages that were refused and could not be answered.",
    "audit": "List who administered the bridge, and how.",
    "doctor": "Find out by trying whether the broker keeps what it is given.",
    "sweep": "Clear what is retained and belongs to no twin.",
    "store": "Check, back up, restore, export and import the store.",
    "permissions": "Check and explain who may read and write what.",
    "enrol": "Let a device fetch a key of its own.",
    "schemas": "Try a schema on the twins that there are.",
    "tokens": "Make, list and revoke tokens of the HTTP API.",
    "keys": "Make, list, rotate and revoke the keys of devices that seal.",
    "dictionary": "Train and list dictionaries for compressed payloads.",
    "acl": "Print the broker's access control list.",
    "certs": "Make certificates for a laboratory.",
    "config": "Print the settings in force and where they come from.",
    "version": "Print the version.",
}


class LazyGroup(click.Group):
    """A group that imports the module of a command when it is called, and not for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command, or return None if there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"bridge.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the summaries without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    params=common_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="syncbridge", message="%(prog)s %(version)s")
def syncbridge() -> None:
    """Keep one authoritative, versioned state per device on your own MQTT broker.

    \b
    Try it, with nothing else installed:
      syncbridge demo
    \b
    Use it beside your own broker:
      syncbridge --broker mqtt://localhost:1883 run
      syncbridge watch
      syncbridge set lamp-1 desired.on=true

    `syncbridge COMMAND --help` explains each command, with examples.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
