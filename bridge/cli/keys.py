"""`syncbridge keys`: make, list, rotate, activate, revoke and forget keys of who seals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from bridge.cli.access import administer, load_config, store_option
from bridge.cli.documents import JsonRow, document, integer, rows_of, text
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.lines import shown_time
from bridge.cli.options import Command, json_option
from bridge.cli.terminal import is_terminal, print_note, print_table
from bridge.cli.text import compact_json, printable
from bridge.core.topics import IDENTIFIER_RULE, is_device_id

_HEADER = ("DEVICE", "KEY", "STATE", "ALGORITHM", "CREATED")
_STYLES = {"active": "green", "next": "cyan", "retiring": "yellow", "revoked": "red"}

_algorithm_option = click.option(
    "--algorithm",
    type=click.Choice(["aes-256-gcm", "chacha20-poly1305"]),
    help="How the device seals. Default: as with its key before, else aes-256-gcm.",
)
_out_option = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key into this new file, which only you can read, instead of printing it.",
)


@click.group("keys")
def keys() -> None:
    """Make, list, rotate, activate, revoke and forget the keys of devices that seal their payloads.

    A key is shown once, when it is made; the store keeps it wrapped with sealing.wrapping_key
    (docs/sealed-payloads.md). From its first key on a device must seal all that it sends. A group
    that reads states, as sealing.readers names it, has keys like a device.

    \b
    Examples:
      syncbridge keys create lamp-1 --output lamp-1.key
      syncbridge keys list
      syncbridge keys rotate lamp-1 --output lamp-1.new.key
      syncbridge keys revoke lamp-1
      syncbridge keys forget lamp-1
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@keys.command("create", cls=Command)
@click.argument("device")
@_algorithm_option
@_out_option
@store_option
@pass_invocation
def create(
    invocation: Invocation,
    device: str,
    algorithm: str | None,
    output: Path | None,
    store_path: str | None,
) -> None:
    """Make a key for DEVICE, and print it as JSON, as the device library reads it."""
    _make(invocation, device, algorithm, output, store_path, rotate=False)


@keys.command("rotate", cls=Command)
@click.argument("device")
@_algorithm_option
@_out_option
@store_option
@pass_invocation
def rotate(
    invocation: Invocation,
    device: str,
    algorithm: str | None,
    output: Path | None,
    store_path: str | None,
) -> None:
    """Make a new key for DEVICE, which has one, and print it.

    Both open what the device sends. What goes down is sealed with the old one until the device has
    used the new one; then the old one opens for sealing.overlap_days, and no longer.
    """
    _make(invocation, device, algorithm, output, store_path, rotate=True)


@keys.command("activate", cls=Command)
@click.argument("group")
@store_option
@pass_invocation
def activate(invocation: Invocation, group: str, store_path: str | None) -> None:
    """Make the next key of GROUP, which sealing.readers names, the active one.

    A group never sends, so that its next key becomes active in no other way. What is retained for
    the group is published again, sealed with it. Ends with status 5 if there is no next key.
    """
    _check_device(group)
    with administer(load_config(invocation, store_path)) as client:
        answer = client.activate_key(group)
    print_note(f"key {answer['key_id']} of {group} is active")


@keys.command("list", cls=Command)
@click.argument("device", required=False)
@json_option
@store_option
@pass_invocation
def list_all(
    invocation: Invocation, device: str | None, as_json: bool, store_path: str | None
) -> None:
    """List the keys of all devices, or of DEVICE; not the keys themselves."""
    with administer(load_config(invocation, store_path)) as client:
        answer = client.keys(device)
    if as_json:
        click.echo(compact_json(document(answer)))
        return
    rows = rows_of(answer, "keys")
    if rows:
        print_table(_HEADER, [_cells(row) for row in rows])
    else:
        print_note("no device has a key" if device is None else f"{printable(device)} has no key")


@keys.command("revoke", cls=Command)
@click.argument("device")
@click.option("--key", "key_id", type=click.IntRange(min=0), help="Only this one of its keys.")
@store_option
@pass_invocation
def revoke(invocation: Invocation, device: str, key_id: int | None, store_path: str | None) -> None:
    """Revoke all keys of DEVICE, or one; what they seal is refused from now on.

    The device may not send in clear either, until it has been given a new key. Ends with status 5
    if there was nothing to revoke.
    """
    _check_device(device)
    with administer(load_config(invocation, store_path)) as client:
        answer = client.revoke_keys(device, key_id)
    print_note(f"{answer['revoked']} key(s) of {device} are revoked")


@keys.command("forget", cls=Command)
@click.argument("device")
@store_option
@pass_invocation
def forget(invocation: Invocation, device: str, store_path: str | None) -> None:
    """Let DEVICE, all of whose keys are revoked, send in clear again.

    What the bridge knew of its keys goes, and what is retained for it is published in clear. From
    then on whoever may publish on its topics can speak for it. Ends with status 1 if it has a key
    that is valid, and 5 if it has none at all.
    """
    _check_device(device)
    with administer(load_config(invocation, store_path)) as client:
        answer = client.forget_keys(device)
    print_note(f"{answer['forgotten']} key(s) of {device} are forgotten: it sends in clear again")


def _make(
    invocation: Invocation,
    device: str,
    algorithm: str | None,
    output: Path | None,
    store_path: str | None,
    *,
    rotate: bool,
) -> None:
    _check_device(device)
    # Made first: a key that cannot be written down is of no use.
    file = None if output is None else _new_file(output)
    try:
        with administer(load_config(invocation, store_path)) as client:
            answer = client.create_key(device, algorithm, rotate=rotate)
    except BaseException:
        if file is not None and output is not None:
            os.close(file)
            output.unlink()
        raise
    lines = compact_json(document(_key_file(answer)))
    if file is None:
        click.echo(lines)
    else:
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            opened.write(lines + "\n")
    print_note(f"key {answer['key_id']} of {device} is {answer['state']}; it is not shown again")


def _key_file(answer: Mapping[str, object]) -> Mapping[str, object]:
    return {name: answer[name] for name in ("device", "key_id", "algorithm", "key")}


def _new_file(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be made: {error.strerror}") from error


def _check_device(device: str) -> None:
    if not is_device_id(device):
        raise click.UsageError(f"{device!r} cannot be a device: {IDENTIFIER_RULE}")


def _cells(row: JsonRow) -> list[tuple[str, str]]:
    state = text(row, "state")
    created = shown_time(integer(row, "created_at"), for_terminal=is_terminal())
    return [
        (printable(text(row, "device")), "bold cyan"),
        (str(integer(row, "key_id")), ""),
        (state, _STYLES.get(state, "")),
        (printable(text(row, "algorithm")), ""),
        (created, "dim"),
    ]
