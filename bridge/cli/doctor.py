"""`syncbridge doctor`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.doctor_view import print_finding, print_verdict
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.mqtt import BrokerClient
from bridge.cli.options import command, json_option
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import line_printer, print_note
from bridge.cli.text import DURATION, compact_json
from bridge.cli.transport import Transport
from bridge.core.topics import TopicGrammar
from bridge.secret_file import read_secret

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.doctor import Finding, Login, Report, Target

MESSAGES_DEFAULT = 2500
MESSAGES_MIN = 100
MESSAGES_MAX = 200_000
DURATION_DEFAULT_S = 60.0
DURATION_MAX_S = 3600.0


@command("doctor")
@click.option(
    "--messages",
    type=click.IntRange(MESSAGES_MIN, MESSAGES_MAX),
    default=MESSAGES_DEFAULT,
    metavar="N",
    help="Queue and retain N messages to see how many are kept. Default: 2500.",
)
@click.option(
    "--for",
    "duration_s",
    type=DURATION,
    default=DURATION_DEFAULT_S,
    metavar="DURATION",
    help="Begin nothing new after so long. Default: 60s.",
)
@click.option(
    "--device",
    "device_username",
    metavar="USER",
    help="Try what a device that logs in as USER may do to others.",
)
@click.option(
    "--device-password-file", metavar="FILE", help="Read that device's password from FILE."
)
@click.option("--publish", is_flag=True, help="Retain the result on $bridge/doctor.")
@json_option
@pass_invocation
def doctor(
    invocation: Invocation,
    messages: int,
    duration_s: float,
    device_username: str | None,
    device_password_file: str | None,
    publish: bool,
    as_json: bool,
) -> ExitStatus:
    """Find out by trying whether the broker keeps what it is given.

    It connects as any client does, under client ids of its own, and uses topics below
    $bridge/doctor, which no device can have. It says what it saw, how bad that is, and what to
    change in Mosquitto and in EMQX. What it retained, and its sessions, are gone at the end.

    Use a login of its own that may read and write these topics, and never the bridge's. Where the
    broker takes the user for the client id, name a device with --device that is not in use.

    \b
    Examples:
      syncbridge doctor
      syncbridge doctor --messages 20000 --for 5m
      syncbridge doctor --username anna --device lamp-1 --device-password-file p
      syncbridge doctor --json | jq -c '.findings[] | [.severity, .check]'

    Ends with status 1 if something is critical: what the broker acknowledges can be lost, or forged
    by others.
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    from bridge.doctor import Bounds, examine

    if device_password_file is not None and device_username is None:
        raise click.UsageError("--device-password-file needs --device")
    if duration_s > DURATION_MAX_S:
        raise click.UsageError("--for: an hour at the most")
    config = invocation.load().config
    target = _target(config, _device(device_username, device_password_file))
    print_line = line_printer()

    def show(finding: Finding) -> None:
        if not as_json:
            print_finding(print_line, finding)

    report = examine(target, Bounds(messages, duration_s), time.time_ns() // 1000, show)
    if as_json:
        click.echo(compact_json(report.document()))  # type: ignore[arg-type]
    else:
        print_verdict(print_line, report)
    if publish and report.may_go_on:
        _publish(config, report)
    elif publish:
        print_note("nothing is retained: this login's session is another's")
    return ExitStatus.FAILURE if report.is_critical else ExitStatus.OK


def _target(config: Config, device: Login | None) -> Target:
    from bridge.broker import USERNAME
    from bridge.doctor import Login, Target

    broker = config.broker
    address = broker.address
    # At the embedded broker as the bridge logs in there.
    username = USERNAME if address is None and broker.username is None else broker.username
    return Target(
        host="127.0.0.1" if address is None else address.host,
        port=config.embedded.port if address is None else address.port,
        transport=Transport.from_config(broker),
        login=Login(username, broker.read_password()),
        device=device,
        prefix=config.prefix,
        payload_bytes=config.limits.payload_bytes,
        timeout_s=broker.connect_timeout_s,
    )


def _device(username: str | None, password_file: str | None) -> Login | None:
    from bridge.doctor import Login

    if username is None:
        return None
    if password_file is None:
        return Login(username)
    password = read_secret("--device-password-file", Path(password_file))
    return Login(username, password)


def _publish(config: Config, report: Report) -> None:
    topic = TopicGrammar(config.prefix).doctor
    payload = compact_json(report.document()).encode()  # type: ignore[arg-type]
    with BrokerClient.from_config(config) as client:
        client.publish(topic, payload, retain=True)
    print_note(f"retained on {topic}")
