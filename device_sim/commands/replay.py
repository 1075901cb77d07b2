"""`device-sim replay`: recorded documents, as a device would report them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Unpack

import click
from rich.console import Console

from bridge.device import Encoding
from device_sim import replay as player
from device_sim.broker import Broker
from device_sim.commands.options import (
    Login,
    broker_options,
    encoding_option,
    json_option,
    read_login,
)
from device_sim.exits import ExitStatus
from device_sim.report import print_differences


@click.command(short_help="Publish recorded documents as a device would.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE…",
)
@click.option("--as", "device", required=True, metavar="DEVICE", help="The device's id.")
@encoding_option
@broker_options
@json_option
def replay(
    files: tuple[Path, ...],
    device: str,
    encoding: Encoding,
    broker: Broker,
    prefix: str,
    as_json: bool,
    **login: Unpack[Login],
) -> int:
    """Publish recorded JSON documents as DEVICE would, and compare its twin with the last one.

    \b
    One document, whole:
      device-sim replay status.json --as plug-7
    \b
    Several, each after the first as a patch of what changed; in a .jsonl file one a line:
      device-sim replay monday.json tuesday.json --as plug-7
      device-sim replay recording.jsonl --as plug-7 --encoding msgpack

    A twin has no nulls: what is null in a document is absent from `reported`, and so is an object
    that holds nothing but nulls. Everything else must be there with its type: 0.0 is not 0.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    try:
        documents = [document for file in files for document in player.read_documents(file)]
        result = asyncio.run(
            player.replay(
                documents,
                device,
                broker=read_login(broker, **login),
                prefix=prefix,
                encoding=encoding,
            )
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        console = Console()
        equal = "is" if result.ok else "is not"
        console.print(
            f"{result.device}: {result.documents} documents in {result.reports} reports, "
            f"version {result.version}; the twin {equal} the last document less its nulls",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        print_differences(result.differences, console)
    return ExitStatus.OK if result.ok else ExitStatus.DIFFERENT
