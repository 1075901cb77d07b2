"""`device-sim run`: a fleet for a while, and what became of it."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Unpack

import click
from rich.console import Console

from bridge.device import Encoding, JsonObject
from device_sim.broker import Broker
from device_sim.commands.options import (
    DURATION,
    FAULT_TYPE,
    KINDS_TYPE,
    OWN_RATE,
    RATE,
    SCENARIO_TYPE,
    Login,
    broker_options,
    encoding_option,
    json_option,
    protocol_option,
    read_login,
)
from device_sim.commands.progress import show_progress
from device_sim.exits import ExitStatus
from device_sim.faults import Fault
from device_sim.fleet import Fleet
from device_sim.html_report import html_report
from device_sim.kinds import Kind
from device_sim.mqtt import MqttVersion
from device_sim.options import FleetOptions, fleet_options
from device_sim.plan import (
    RIVAL_MARK,
    DesiredChange,
    Planned,
    PlannedFault,
    PlannedPower,
    fleet_of,
    timeline,
)
from device_sim.process import connections_allowed, raise_file_limit
from device_sim.report import print_summary
from device_sim.scenarios import Scenario
from device_sim.summary import Summary


@click.command(short_help="Run a fleet and compare every twin at the end.")
@click.option(
    "--devices", type=int, metavar="N", help="How many. Default: 100, or as the scenario says."
)
@click.option(
    "--scenario",
    type=SCENARIO_TYPE,
    metavar="NAME|FILE",
    help="What the fleet goes through, by name or from a YAML file; see `device-sim --list`.",
)
@click.option(
    "--fault",
    "faults",
    type=FAULT_TYPE,
    multiple=True,
    metavar="FAULT",
    help="Inject one, as `loss=5%` or `half-open,every=1m`; may be repeated. See `--list`.",
)
@click.option(
    "--gateways",
    default=0,
    show_default=True,
    metavar="N",
    help="Carry all devices on so many connections; 0 for one connection each.",
)
@click.option(
    "--rate",
    "rate_hz",
    type=RATE,
    default=OWN_RATE,
    show_default=True,
    metavar="HZ",
    help="Reports per device and second, on average; `kind`: as often as each kind says.",
)
@click.option(
    "--desired-rate",
    "desired_rate_hz",
    default=0.1,
    show_default=True,
    metavar="HZ",
    help="Desired changes per second for the whole fleet, on average; 0 for none.",
)
@click.option(
    "--seed", default=1, show_default=True, metavar="N", help="The same seed, the same messages."
)
@click.option(
    "--for",
    "duration_s",
    type=DURATION,
    metavar="DURATION",
    help="How long, as 30s or 10m. Default: until Ctrl-C.",
)
@click.option(
    "--kinds",
    type=KINDS_TYPE,
    metavar="KIND,…",
    help="Which kinds, in turn: names, YAML files. Default: all, or as the scenario says.",
)
@click.option(
    "--ramp",
    "ramp_hz",
    type=float,
    metavar="HZ",
    help="Devices switched on per second. Default: 200, or as the scenario says.",
)
@click.option(
    "--converge",
    "converge_s",
    type=DURATION,
    default="15s",
    show_default=True,
    metavar="DURATION",
    help="How long to wait at the end until everything is answered and obeyed.",
)
@click.option(
    "--wait",
    "find_s",
    type=DURATION,
    default="10s",
    show_default=True,
    metavar="DURATION",
    help="How long to wait at the start for a bridge to answer.",
)
@encoding_option
@protocol_option
@broker_options
@click.option(
    "--dry-run", is_flag=True, help="Print the planned messages as JSON lines; connect to nothing."
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the report as a page with charts.",
)
@json_option
def run(
    devices: int | None,
    scenario: Scenario | None,
    faults: tuple[Fault, ...],
    gateways: int,
    rate_hz: float | None,
    desired_rate_hz: float,
    seed: int,
    duration_s: float | None,
    kinds: tuple[Kind, ...] | None,
    ramp_hz: float | None,
    converge_s: float,
    find_s: float,
    encoding: Encoding,
    protocol: MqttVersion,
    broker: Broker,
    prefix: str,
    dry_run: bool,
    html_file: Path | None,
    as_json: bool,
    **login: Unpack[Login],
) -> int:
    """Run a fleet of simulated devices against a bridge, and compare every twin at the end.

    \b
    A hundred devices, two messages a second each:
      device-sim run --devices 100 --rate 2 --seed 7 --for 30s
    \b
    Lamps that are told what to do ten times a second, until Ctrl-C:
      device-sim run --kinds lamp --desired-rate 10
    \b
    Devices of one's own (`device-sim kinds --yaml lamp` prints a declaration to begin with):
      device-sim run --kinds my.yaml,lamp --for 10m
    \b
    A story with faults in it, and faults of one's own:
      device-sim run --scenario power-cut --devices 1000
      device-sim run --for 1m --fault loss=5% --fault reconnect,every=20s,session=yes
    \b
    What would be sent, without a broker:
      device-sim run --devices 2 --for 10s --dry-run
    \b
    For a script, with the differences if there are any:
      device-sim run --for 10s --json | jq .latency_ms.p99
    \b
    For people who were not there:
      device-sim run --scenario reconnect-storm --html storm.html

    Each device has its own connection with a last will, reports as such a device does, repeats a
    report until the bridge's reply, and obeys its delta. An application sets desired fields, and
    an observer measures the time from a report's publish to the retained state that has it.

    With the same seed a device reports the same. What it sends in answer to a delta comes when
    the delta comes; `--dry-run` does not show it. On an empty bridge the boot ids are the same
    too; where twins exist already, their versions enter, so that nothing is taken for a repeat.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    try:
        options = fleet_options(
            scenario,
            devices=devices,
            kinds=kinds,
            duration_s=duration_s,
            ramp_hz=ramp_hz,
            broker=read_login(broker, **login),
            prefix=prefix,
            rate_hz=rate_hz,
            desired_rate_hz=desired_rate_hz,
            seed=seed,
            converge_s=converge_s,
            find_s=find_s,
            encoding=encoding,
            faults=faults,
            gateways=gateways,
            protocol=protocol,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if dry_run:
        return _print_plan(options)
    _make_room(options)
    summary = asyncio.run(_run(Fleet(options)))
    if html_file is not None:
        html_file.write_text(html_report(summary), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(summary.to_json()))
    else:
        print_summary(summary, Console())
    return ExitStatus.OK if summary.ok else ExitStatus.DIFFERENT


async def _run(fleet: Fleet) -> Summary:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, fleet.stop)
    try:
        async with show_progress(fleet):
            return await fleet.run()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


def _make_room(options: FleetOptions) -> None:
    """Raise the limit of open files, and refuse what does not fit under it all the same."""
    allowed = connections_allowed(raise_file_limit())
    needed = options.gateways or options.devices
    if needed > allowed:
        raise click.UsageError(
            f"{needed:,} connections do not fit: the hard limit of open files allows {allowed:,}; "
            "raise it (`ulimit -Hn`, LimitNOFILE), or carry the devices on --gateways"
        )


def _print_plan(options: FleetOptions) -> int:
    if options.duration_s is None:
        raise click.UsageError("--dry-run needs an end: give --for")
    for planned in timeline(fleet_of(options.devices, options.kinds, options.shares), options):
        click.echo(json.dumps(_line(planned, options.prefix)))
    return ExitStatus.OK


def _line(planned: Planned, prefix: str) -> JsonObject:
    line: JsonObject = {"at_s": round(planned.at_s, 6), "device": planned.device}
    if isinstance(planned, DesiredChange):
        return line | {"verb": "desire", "topic": planned.topic(prefix), "patch": planned.patch}
    if isinstance(planned, PlannedFault):
        return line | {"verb": "fault", "fault": planned.strike.fault.kind}
    if isinstance(planned, PlannedPower):
        return line | {"verb": "power", "on": planned.is_on, "why": planned.why}
    return line | {
        "verb": "report",
        "topic": f"{prefix}/{planned.device.removesuffix(RIVAL_MARK)}/report",
        "full": planned.full,
        "patch": planned.patch,
    }
