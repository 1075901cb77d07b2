"""`syncbridge fleet`: change a whole fleet, stage by stage."""

from __future__ import annotations

import re
import sys

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.assignments import AssignmentError, parse_assignments, parse_patch
from bridge.cli.documents import document, integer, rows_of, text
from bridge.cli.fleet_view import change_line, device_cells, print_change, progress_spans, row_cells
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.names import requester_name
from bridge.cli.options import Command, json_option, limit_option
from bridge.cli.query_text import reading_query
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import line_printer, print_note, print_table
from bridge.cli.text import DURATION, compact_json
from bridge.core.section import JsonObject

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%?\Z", re.ASCII)
_PACE = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?\Z", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_GOING = frozenset({"running", "waiting", "undoing"})
_FAILED = "timed_out,refused"
_HEADER = ("ID", "STATUS", "STAGE", "DEVICES", "CONVERGED", "FAILED", "WHERE")
_DEVICE_HEADER = ("DEVICE", "STATE", "WHY")
_ROWS_PER_PAGE = 1000


class Percent(click.ParamType[float]):
    """A percentage such as `10%`; the sign may be left out."""

    name = "percent"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        match = _PERCENT.match(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a percentage such as 10%", param, ctx)
        return float(match[1])


class Stages(click.ParamType[list[float]]):
    """Percentages with commas between."""

    name = "stages"

    def convert(
        self,
        value: str | list[float],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> list[float]:
        """Return the numbers."""
        if isinstance(value, list):
            return value
        return [Percent().convert(part, param, ctx) for part in value.split(",")]


class Pace(click.ParamType[float]):
    """So many in a time, such as `50/s` or `10/m`; without a unit in a second."""

    name = "pace"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return how many in a second."""
        if isinstance(value, float | int):
            return float(value)
        match = _PACE.match(value.strip())
        if match is None:
            self.fail(f"{value!r} is not a pace such as 50/s, 10/m or 5/h", param, ctx)
        return float(match[1]) / _SECONDS[match[2]]


id_argument = click.argument("change_id", metavar="ID")


@click.group("fleet")
def fleet() -> None:
    """Change a whole fleet, in stages that halt by themselves.

    One patch is written to what is desired of all twins that a query finds: first to a few, then to
    more. Where too many of a stage do not come to report what is desired of them, the rest is left
    alone. docs/fleet-changes.md tells all of it.

    \b
    Examples:
      syncbridge fleet start --where "reported.on" desired.mode=eco --dry-run
      syncbridge fleet start --where "online" --patch '{"fw": "2.1"}' --pace 5/s
      syncbridge fleet watch 5f0c2a91
      syncbridge fleet undo 5f0c2a91
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@fleet.command("start", cls=Command)
@click.argument("assignments", metavar="[PATH=VALUE]...", nargs=-1)
@click.option("--where", required=True, metavar="QUERY", help="Which twins; see `query`.")
@click.option("--patch", metavar="JSON", help="A whole merge patch; - reads it from the input.")
@click.option(
    "--stages",
    type=Stages(),
    default="5,25,100",
    metavar="PERCENTS",
    help="How much of the fleet is changed at the end of each stage. Default: 5,25,100.",
)
@click.option(
    "--pace", type=Pace(), default="50/s", metavar="RATE", help="Devices a time. Default: 50/s."
)
@click.option(
    "--converge-within",
    type=DURATION,
    default=60.0,
    metavar="DURATION",
    help="How long a device may take to report it. Default: 60s.",
)
@click.option(
    "--halt-at",
    type=Percent(),
    default="10%",
    metavar="PERCENT",
    help="Halt where so much of a stage has failed. Default: 10%.",
)
@click.option(
    "--halt-minimum",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="And at least N devices. Default: 1.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@json_option
@click.option(
    "--as",
    "as_name",
    metavar="NAME",
    help="Write under this name. Default: the broker's user name, or cli- and yours.",
)
@store_option
@pass_invocation
def start(
    invocation: Invocation,
    assignments: tuple[str, ...],
    where: str,
    patch: str | None,
    stages: list[float],
    pace: float,
    converge_within: float,
    halt_at: float,
    halt_minimum: int,
    dry_run: bool,
    as_json: bool,
    as_name: str | None,
    store_path: str | None,
) -> None:
    """Change what is desired of all twins that a query finds.

    Prints the id of the change. The devices are chosen now, and no others are changed later. Which
    of them come first is left to chance.
    """
    config = load_config(invocation, store_path)
    order = {
        "where": where,
        "patch": _patch(assignments, patch),
        "stages": stages,
        "pace_per_s": pace,
        "converge_within_s": converge_within,
        "halt_at_percent": halt_at,
        "halt_minimum": halt_minimum,
        "dry_run": dry_run,
        "writer": requester_name(as_name, config.broker.username),
    }
    with administer(config) as client, reading_query(where):
        answer = document(client.start_fleet_change(order))
    if as_json:
        click.echo(compact_json(answer))
    elif dry_run:
        print_change(answer)
        print_note("nothing was changed")
    else:
        click.echo(text(answer, "id"))
        print_note(change_line(answer))


def _patch(assignments: tuple[str, ...], patch: str | None) -> JsonObject:
    if bool(assignments) == (patch is not None):
        raise click.UsageError("give either PATH=VALUE, once or more, or --patch")
    try:
        if patch is not None:
            return parse_patch(sys.stdin.read() if patch == "-" else patch, "desired").patch
        change = parse_assignments(assignments)
    except AssignmentError as error:
        raise click.UsageError(str(error)) from error
    if change.section != "desired":
        raise click.UsageError("a fleet change is one of desired: only devices report")
    return change.patch


@fleet.command("list", cls=Command)
@json_option
@store_option
@pass_invocation
def list_all(invocation: Invocation, as_json: bool, store_path: str | None) -> None:
    """List the fleet changes, the newest first."""
    with administer(load_config(invocation, store_path)) as client:
        rows = rows_of(client.fleet_changes(), "fleet_changes")
    if as_json:
        for row in rows:
            click.echo(compact_json(row))
    elif rows:
        print_table(_HEADER, [row_cells(row) for row in rows])
    else:
        print_note("there are no fleet changes")


@fleet.command("show", cls=Command)
@id_argument
@click.option("--devices", is_flag=True, help="List its devices too.")
@click.option("--failed", is_flag=True, help="List the devices that have failed too.")
@limit_option
@json_option
@store_option
@pass_invocation
def show(
    invocation: Invocation,
    change_id: str,
    devices: bool,
    failed: bool,
    limit: int,
    as_json: bool,
    store_path: str | None,
) -> None:
    """Show the fleet change ID: how far it is, and what has become of its devices.

    Ends with status 5 if there is no such change.
    """
    _check_id(change_id)
    rows: list[JsonObject] = []
    with administer(load_config(invocation, store_path)) as client:
        answer = document(client.fleet_change(change_id))
        begin = 0
        while (devices or failed) and len(rows) < limit:
            page = rows_of(
                client.fleet_devices(
                    change_id,
                    state=_FAILED if failed else None,
                    start=begin,
                    limit=min(limit - len(rows), _ROWS_PER_PAGE),
                ),
                "devices",
            )
            if not page:
                break
            rows += page
            begin = integer(page[-1], "position") + 1
    if as_json:
        listed: JsonObject = {"devices": [*rows]} if devices or failed else {}
        click.echo(compact_json({**answer, **listed}))
        return
    print_change(answer)
    if rows:
        click.echo()
        print_table(_DEVICE_HEADER, [device_cells(row) for row in rows])


@fleet.command("watch", cls=Command)
@id_argument
@json_option
@store_option
@pass_invocation
def watch(
    invocation: Invocation, change_id: str, as_json: bool, store_path: str | None
) -> ExitStatus:
    """Show how the fleet change ID gets on, until it ends, halts or is paused.

    Ends with status 1 if it has halted, and with 5 if there is no such change.
    """
    _check_id(change_id)
    print_spans = line_printer()
    with administer(load_config(invocation, store_path)) as client:
        answer = document(client.fleet_change(change_id))
        while True:
            if as_json:
                click.echo(compact_json(answer))
            else:
                print_spans(progress_spans(answer))
            before = integer(answer, "revision")
            if text(answer, "status") not in _GOING:
                break
            if client.is_offline:
                print_note("no bridge is running here: it goes on when one starts")
                break
            while integer(answer, "revision") == before:
                answer = document(client.fleet_change(change_id, after=before))
    why = text(answer, "why")
    if why:
        print_note(why)
    return ExitStatus.FAILURE if text(answer, "status") == "halted" else ExitStatus.OK


@fleet.command("pause", cls=Command)
@id_argument
@store_option
@pass_invocation
def pause(invocation: Invocation, change_id: str, store_path: str | None) -> None:
    """Stop writing for the fleet change ID; devices that are written are still judged."""
    _command(invocation, change_id, store_path, "pause")


@fleet.command("resume", cls=Command)
@id_argument
@store_option
@pass_invocation
def resume(invocation: Invocation, change_id: str, store_path: str | None) -> None:
    """Let the fleet change ID go on after a pause, or after a halt.

    What has failed until then in a stage that has halted is accepted, and counts no more.
    """
    _command(invocation, change_id, store_path, "resume")


@fleet.command("undo", cls=Command)
@id_argument
@store_option
@pass_invocation
def undo(invocation: Invocation, change_id: str, store_path: str | None) -> None:
    """Restore what was desired before the fleet change ID, where nobody has written since.

    It goes at the pace of the change, and `fleet watch` shows it.
    """
    _command(invocation, change_id, store_path, "undo")


def _command(invocation: Invocation, change_id: str, store_path: str | None, verb: str) -> None:
    _check_id(change_id)
    with administer(load_config(invocation, store_path)) as client:
        answer = document(client.command_fleet_change(change_id, verb))
    print_note(change_line(answer))


def _check_id(change_id: str) -> None:
    if not (change_id.isascii() and change_id.isalnum()):
        raise click.UsageError(f"{change_id!r} cannot be the id of a fleet change")
