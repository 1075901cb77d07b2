"""`device-sim check`: whether a system has lost, mixed up or invented anything."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Unpack

import click

from device_sim.broker import Broker
from device_sim.checker.check import CheckOptions
from device_sim.checker.check import check as run_check
from device_sim.checker.verdict import Verdict
from device_sim.commands.options import (
    DURATION,
    Login,
    broker_options,
    json_option,
    protocol_option,
    read_login,
)
from device_sim.exits import ExitStatus
from device_sim.mqtt import MqttVersion

SHOWN_MAX = 50
"""Violations that are printed; one fault can cause thousands, and --json has them all."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Watch a system from outside, and check that nothing is lost.")
@click.option(
    "--for",
    "duration_s",
    type=DURATION,
    default="1m",
    show_default=True,
    metavar="DURATION",
    help="How long to watch; Ctrl-C ends it earlier.",
)
@click.option(
    "--converge",
    "converge_s",
    type=DURATION,
    default="15s",
    show_default=True,
    metavar="DURATION",
    help="How long it may take then until everything is answered and published.",
)
@click.option(
    "--ledger",
    "ledgers",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="What was sent and answered, as JSON lines. Default: what passes by. May be repeated.",
)
@click.option(
    "--complete",
    "is_complete",
    is_flag=True,
    help="The ledger has every message that the twins ever got: nothing else may stand in them.",
)
@click.option(
    "--broker-kept",
    "is_broker_kept",
    is_flag=True,
    help="The broker was never killed: what it accepted may not be lost, answered or not.",
)
@click.option(
    "--store",
    type=_FILE,
    metavar="FILE",
    help="The bridge's store, on this machine: what is retained is compared with it.",
)
@click.option(
    "--export",
    type=_FILE,
    metavar="FILE",
    help="The same from a file that `syncbridge store export` made when all was at rest.",
)
@protocol_option
@broker_options
@json_option
def check(
    duration_s: float,
    converge_s: float,
    ledgers: tuple[Path, ...],
    is_complete: bool,
    is_broker_kept: bool,
    store: Path | None,
    export: Path | None,
    protocol: MqttVersion,
    broker: Broker,
    prefix: str,
    as_json: bool,
    **login: Unpack[Login],
) -> int:
    """Watch the topics of a bridge as a subscriber, and say whether every promise was kept.

    \b
    Ten minutes of a fleet on this machine, against the bridge's store:
      device-sim check --for 10m --store syncbridge-data/store.db
    \b
    What one's own devices have written down of themselves:
      device-sim check --for 10s --ledger devices.jsonl --complete

    It checks that nothing that was answered with ok is missing, that no retained state goes back,
    that what is retained is what is stored, that deltas are exact, and that what lost a conflict
    is on record; docs/reliability.md has it all. Without a store, only what a subscriber can know.

    Each violation names the device, the message and what was broken. Ends with status 1 if there
    is any.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if store is not None and export is not None:
        raise click.UsageError("--store and --export say the same in two ways: give one")
    options = CheckOptions(
        broker=read_login(broker, **login),
        prefix=prefix,
        duration_s=duration_s,
        converge_s=converge_s,
        ledgers=ledgers,
        store=store,
        export=export,
        is_complete=is_complete,
        is_broker_kept=is_broker_kept,
        protocol=protocol,
    )
    verdict = asyncio.run(_run(options))
    if as_json:
        click.echo(json.dumps(_document(verdict)))
    else:
        _print(verdict)
    return ExitStatus.OK if verdict.ok else ExitStatus.DIFFERENT


async def _run(options: CheckOptions) -> Verdict:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, stopping.set)
    try:
        where = f"{options.broker}, below {options.prefix}/"
        return await run_check(options, stopping, lambda: click.echo(f"watching {where}", err=True))
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "ok": verdict.ok,
        "figures": verdict.figures,
        "violations": [
            {
                "invariant": each.invariant.value,
                "twin": each.twin,
                "message": each.message,
                "detail": each.detail,
            }
            for each in verdict.violations
        ],
    }


def _print(verdict: Verdict) -> None:
    width = max(map(len, verdict.figures))
    for name, figure in verdict.figures.items():
        click.echo(f"{name.rjust(width)}: {figure:,}")
    for violation in verdict.violations[:SHOWN_MAX]:
        click.echo(f"{click.style('violation', fg='red', bold=True)} {violation}")
    if len(verdict.violations) > SHOWN_MAX:
        click.echo(f"and {len(verdict.violations) - SHOWN_MAX:,} more")
    click.echo("every promise was kept" if verdict.ok else "not every promise was kept")
