"""`syncbridge store`: check, back up, restore, export and import the store."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from bridge.cli.access import load_config, open_store, store_option
from bridge.cli.invocation import Invocation, pass_invocation
from bridge.cli.options import Command, json_option
from bridge.cli.status import ExitStatus
from bridge.cli.terminal import print_error, print_json
from bridge.cli.text import printable
from bridge.errors import StoreError, StoreLocked

STANDARD_STREAM = "-"


@click.group("store")
def store() -> None:
    """Check, back up, restore, export and import the store.

    A running bridge is asked to check, back up and export its store itself, and goes on meanwhile.
    For restore and import it has to be stopped.

    \b
    Examples:
      syncbridge store check
      syncbridge store backup /var/backups/twins-monday.db
      syncbridge store export | gzip > twins.jsonl.gz
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@store.command("check", cls=Command)
@store_option
@json_option
@pass_invocation
def check(invocation: Invocation, store_path: str | None, as_json: bool) -> ExitStatus:
    """Verify the whole store.

    Ends with status 1 if something is wrong, and prints each problem.
    """
    with open_store(load_config(invocation, store_path).store) as access:
        problems = access.check()
    if as_json:
        print_json({"ok": not problems, "problems": [*problems]}, compact=True)
    else:
        click.echo("\n".join(map(printable, problems)) or "the store is in order")
    if not problems:
        return ExitStatus.OK
    print_error("the store is damaged", "restore a backup with `syncbridge store restore`")
    return ExitStatus.FAILURE


@store.command("backup", cls=Command)
@click.argument("target", type=click.Path(path_type=Path))
@store_option
@json_option
@pass_invocation
def backup(
    invocation: Invocation, store_path: str | None, target: Path, as_json: bool
) -> ExitStatus:
    """Copy the store to the new file TARGET.

    The copy is one file, complete and on the disk when the command ends.
    """
    target = target.absolute()
    with open_store(load_config(invocation, store_path).store) as access:
        access.backup(target)
    size_bytes = target.stat().st_size
    if as_json:
        print_json({"path": str(target), "size_bytes": size_bytes}, compact=True)
    else:
        click.echo(f"{target}: {size_bytes} bytes")
    return ExitStatus.OK


@store.command("restore", cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@store_option
@json_option
@pass_invocation
def restore(
    invocation: Invocation, store_path: str | None, source: Path, as_json: bool
) -> ExitStatus:
    """Replace the store by the backup SOURCE.

    All versions are raised above those that were ever published, and the bridge publishes every
    twin again when it starts. The store that was there is kept beside it under another name.
    """
    from bridge.api.acting import act, own_actor
    from bridge.store.codec import raise_horizon
    from bridge.store.restore import restore as restore_store

    path = load_config(invocation, store_path).store.path
    with _bridge_must_be_stopped():
        done = act(own_actor("offline"), "store.restore", str(path), source=str(source))
        report = restore_store(source, path, raise_internals=raise_horizon, act=done)
    replaced = None if report.replaced is None else str(report.replaced)
    if as_json:
        print_json({**asdict(report), "replaced": replaced}, compact=True)
    else:
        click.echo(
            f"restored {report.twins} twins; their versions are {report.raised_by} higher than "
            "in the backup"
        )
        if replaced:
            click.echo(f"the store that was there is kept as {replaced}")
    return ExitStatus.OK


@store.command("export", cls=Command)
@click.argument("file", default=STANDARD_STREAM)
@store_option
@pass_invocation
def export(invocation: Invocation, store_path: str | None, file: str) -> ExitStatus:
    """Write the store as JSON lines.

    They go to the new FILE, or to the standard output. Lines are objects with a `kind`: header,
    twin, history, end.
    """
    with open_store(load_config(invocation, store_path).store) as access, _output(file) as output:
        for line in access.export():
            output.write(line)
    return ExitStatus.OK


@store.command("import", cls=Command)
@click.argument("file")
@store_option
@json_option
@pass_invocation
def import_(invocation: Invocation, store_path: str | None, file: str, as_json: bool) -> ExitStatus:
    """Make a new store from an export.

    FILE is what `store export` wrote; - is the standard input. The store must be new or empty. All
    of the file is imported, or nothing.
    """
    from bridge.api.acting import act, own_actor
    from bridge.store.importing import import_lines

    path = load_config(invocation, store_path).store.path
    with _bridge_must_be_stopped(), _input(file) as lines:
        done = act(own_actor("offline"), "store.import", str(path), source=file)
        report = import_lines(path, lines, act=done)
    if as_json:
        print_json({**asdict(report)}, compact=True)
    else:
        click.echo(
            f"imported {report.twins} twins, {report.history} changes "
            f"and {report.conflicts} conflicts"
        )
    return ExitStatus.OK


@contextlib.contextmanager
def _bridge_must_be_stopped() -> Iterator[None]:
    try:
        yield
    except StoreLocked as error:
        raise StoreLocked(
            error.message, hint="stop the bridge first: a store in use cannot be replaced"
        ) from error


@contextlib.contextmanager
def _output(file: str) -> Iterator[BinaryIO]:
    """Open a new file, which is there only when it is complete; or the standard output."""
    if file == STANDARD_STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    unfinished = path.with_name(path.name + ".partial")
    try:
        if path.exists():
            raise StoreError(f"{path} exists already", hint="name a new file; none is overwritten")
        with unfinished.open("wb") as output:
            yield output
        unfinished.rename(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _input(file: str) -> Iterator[Iterator[bytes]]:
    if file == STANDARD_STREAM:
        yield _bounded_lines(sys.stdin.buffer)
        return
    try:
        with Path(file).open("rb") as opened:
            yield _bounded_lines(opened)
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}") from error


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, cutting those that the import refuses as too long, so that memory suffices."""
    from bridge.store.importing import LINE_BYTES_MAX

    return iter(partial(file.readline, LINE_BYTES_MAX + 1), b"")
