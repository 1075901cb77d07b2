"""`device-sim enrol`: fetches the key of a device, as the device would."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO, Unpack

import click

from bridge.device import enrol as fetch_key
from device_sim.broker import Broker
from device_sim.commands.options import DURATION, Login, broker_options, read_login

WAIT_S = 60.0

_CLAIM_CHARACTERS = 1024
"""A claim has 108; whatever is longer is another file."""


@click.command(short_help="Fetch the key of a device with a claim.")
@click.argument("device")
@click.option(
    "--claim",
    "claim_file",
    type=click.File("r"),
    default="-",
    metavar="FILE",
    help="Read the claim from FILE. Default: from the standard input.",
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Where the key is written; only you can read it.",
)
@click.option(
    "--wait",
    "wait_s",
    type=DURATION,
    default=WAIT_S,
    metavar="DURATION",
    help="How long to wait for the answer. Default: 60s.",
)
@broker_options
def enrol(
    device: str,
    claim_file: TextIO,
    key_file: Path,
    wait_s: float,
    broker: Broker,
    prefix: str,
    **login: Unpack[Login],
) -> None:
    """Fetch the key of DEVICE with a claim that `syncbridge enrol` made.

    The claim is not taken from the command line, where every user of this machine could read it.

    \b
    An operator and a device on one machine, in a laboratory:
      syncbridge enrol lamp-1 | device-sim enrol lamp-1 --key-file lamp-1.key
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    broker = read_login(broker, **login)
    try:
        key = fetch_key(
            device,
            claim_file.read(_CLAIM_CHARACTERS),
            host=broker.host,
            port=broker.port,
            username=broker.username,
            password=broker.password,
            tls=broker.make_tls_context(),
            prefix=prefix,
            key_file=key_file,
            timeout_s=wait_s,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"key {key.key_id} of {device} is in {key_file}")
