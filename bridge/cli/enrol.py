"""`syncbridge enrol`: makes, lists and withdraws the claims with which devices fetch their keys."""

from __future__ import annotations

from collections.abc import Mapping

import click

from bridge.api.claims import EXPIRES_S_MAX
from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, document, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time
from bridge.cli.names import twin_key
from bridge.cli.options import command, json_option
from bridge.cli.terminal import is_terminal, print_note, print_table
from bridge.cli.text import compact_json, printable
from bridge.security.frame import ALGORITHM_NAMES

EXPIRES_S_DEFAULT = 3600

_HEADER = ("ID", "DEVICE", "STATE", "EXPIRES", "KEY", "REFUSED")
_STYLES = {"open": "green", "used": "dim", "expired": "yellow", "withdrawn": "yellow"}


@command("enrol")
@click.argument("device", required=False)
@click.option(
    "--expires-s",
    type=click.IntRange(1, EXPIRES_S_MAX),
    default=EXPIRES_S_DEFAULT,
    show_default=True,
    metavar="SECONDS",
    help="How long the claim is good.",
)
@click.option(
    "--hybrid", is_flag=True, help="Seal the key with ML-KEM-768 and X25519, not X25519 alone."
)
@click.option(
    "--algorithm",
    type=click.Choice([*ALGORITHM_NAMES.values()]),
    default="aes-256-gcm",
    show_default=True,
    help="How the device seals its payloads.",
)
@click.option("--list", "listing", is_flag=True, help="List the claims, of DEVICE or of all.")
@click.option("--withdraw", metavar="ID", help="End a claim that no device has used.")
@json_option
@store_option
@pass_invocation
def enrol(
    invocation: Invocation,
    device: str | None,
    expires_s: int,
    hybrid: bool,
    algorithm: str,
    listing: bool,
    withdraw: str | None,
    as_json: bool,
    store_path: str | None,
) -> None:
    """Make a claim, with which DEVICE fetches a key of its own, once.

    The claim stands alone on the standard output, and is not shown again: give it to the device.
    docs/enrolment.md says what the device does with it, and who may see what.

    \b
    Examples:
      syncbridge enrol lamp-1
      syncbridge enrol lamp-1 --expires-s 600 --hybrid
      syncbridge enrol --list
      syncbridge enrol --withdraw 2afc28e8a79879b6
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"
    if device is not None:
        twin_key(device, "")
    if withdraw is not None:
        _withdraw(invocation, withdraw, store_path)
    elif listing:
        _list(invocation, device, store_path, as_json=as_json)
    elif device is None:
        raise click.UsageError("name a device, or give --list or --withdraw")
    else:
        wanted = {
            "device": device,
            "expires_s": expires_s,
            "hybrid": hybrid,
            "algorithm": algorithm,
        }
        _make(invocation, wanted, store_path, as_json=as_json)


def _make(
    invocation: Invocation, wanted: Mapping[str, object], store_path: str | None, *, as_json: bool
) -> None:
    with administer(load_config(invocation, store_path)) as client:
        answer = client.create_claim(wanted)
    if as_json:
        click.echo(compact_json(document(answer)))
        return
    click.echo(str(answer["claim"]))
    row = document(answer)
    until = shown_time(integer(row, "expires_at"), for_terminal=is_terminal())
    print_note(
        f"claim {text(row, 'id')} for {text(row, 'device')}, good once until {until}; "
        "it is not shown again"
    )


def _list(
    invocation: Invocation, device: str | None, store_path: str | None, *, as_json: bool
) -> None:
    with administer(load_config(invocation, store_path)) as client:
        answer = client.claims()
    rows = [row for row in rows_of(answer, "claims") if device in (None, row.get("device"))]
    if as_json:
        click.echo(compact_json({"claims": [*rows]}))
    elif rows:
        print_table(_HEADER, [_cells(row) for row in rows])
    else:
        print_note("there are no claims")


def _withdraw(invocation: Invocation, claim_id: str, store_path: str | None) -> None:
    if not claim_id.isalnum():
        raise click.UsageError(f"{claim_id!r} cannot be a claim's id")
    with administer(load_config(invocation, store_path)) as client:
        client.withdraw_claim(claim_id)
    print_note(f"claim {claim_id} is withdrawn")


def _cells(row: JsonRow) -> list[tuple[str, str]]:
    for_terminal = is_terminal()
    state, key_id, refused = text(row, "state"), row.get("key_id"), integer(row, "refused")
    refusals = ""
    if refused:
        at = shown_time(integer(row, "refused_at"), for_terminal=for_terminal)
        refusals = f"{refused}, last {printable(text(row, 'refusal'))} {at}"
    return [
        (printable(text(row, "id")), "bold"),
        (printable(text(row, "device")), "bold cyan"),
        (printable(state), _STYLES.get(state, "")),
        (shown_time(integer(row, "expires_at"), for_terminal=for_terminal), "dim"),
        ("" if key_id is None else str(key_id), ""),
        (refusals, "red"),
    ]
