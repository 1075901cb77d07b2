"""`syncbridge certs`: certificates for a laboratory."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bridge.cli.options import Command
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.cli.authority import Authority, Pair

CERTIFICATE_DAYS: Final = 825
"""How long a certificate is valid where nobody says: the most that some systems accept."""

_AUTHORITY: Final = "ca"
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
"""A host name or a device id, as long as a common name may be (RFC 5280 appendix A.1)."""


@click.group("certs")
def certs() -> None:
    """Make certificates for a laboratory.

    \b
    Example:
      syncbridge certs init certs --server broker.lan,192.168.1.5 --client bridge
    """  # noqa: D301 - click reads the backspace as "do not wrap this paragraph"


@certs.command("init", cls=Command)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="NAME[,NAME…]",
    help="A server, with all its host names and addresses. Its files are named as the first.",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="NAME",
    help="A client: the bridge, or a device under its id.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=CERTIFICATE_DAYS,
    show_default=True,
    help="How long servers' and clients' certificates are valid.",
)
def init(directory: Path, servers: Sequence[str], clients: Sequence[str], days: int) -> None:
    """Make an authority in DIRECTORY, and a certificate and a key for each name.

    Where DIRECTORY has an authority already, it signs the new names. Nothing is ever overwritten.
    """
    from bridge.cli.authority import pair_of

    if not servers and not clients:
        raise click.UsageError("name at least one --server or --client")
    named = [[_checked(name) for name in server.split(",")] for server in servers]
    files = [names[0] for names in named] + [_checked(name) for name in clients]
    pairs = {name: pair_of(directory, name) for name in files}
    _refuse_overwriting(files, pairs)
    try:
        authority = _authority(directory)
        for names in named:
            authority.issue_server(pairs[names[0]], names, days)
        for client in clients:
            authority.issue_client(pairs[client], client, days)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or directory} cannot be written: {error.strerror}",
            field="DIRECTORY",
            hint="check that you may write there",
        ) from error
    resolved = directory.resolve()
    click.echo("\n".join(_advice(resolved, [names[0] for names in named], clients)))


def _authority(directory: Path) -> Authority:
    from bridge.cli.authority import Authority, pair_of

    pair = pair_of(directory, _AUTHORITY)
    if pair.certificate.exists() or pair.key.exists():
        return Authority.read(pair)
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority.make()
    authority.write(pair)
    return authority


def _checked(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if _NAME.fullmatch(name) is None or name == _AUTHORITY:
            raise click.UsageError(
                f"{name!r} can be no name: a host name, an address or a device id of at most "
                f"64 letters, digits, and . _ - within, but not {_AUTHORITY!r}"
            ) from None
    return name


def _refuse_overwriting(files: Sequence[str], pairs: dict[str, Pair]) -> None:
    if len(set(files)) < len(files):
        raise click.UsageError("a name is given twice: its files would be the same")
    for pair in pairs.values():
        for path in pair:
            if path.exists():
                raise ConfigError(
                    f"{path} exists",
                    field="DIRECTORY",
                    hint="move it away first to have a new one; nothing was written",
                )


def _advice(directory: Path, servers: Sequence[str], clients: Sequence[str]) -> Iterator[str]:
    ca = directory / f"{_AUTHORITY}.pem"
    for server in servers:
        yield f"# mosquitto.conf of {server}; its user must be able to read the key"
        yield "listener 8883"
        yield f"cafile {ca}"
        yield f"certfile {directory / server}.pem"
        yield f"keyfile {directory / server}.key"
        yield "require_certificate true"
        yield ""
    for client in clients:
        host = servers[0] if servers else "BROKER"
        yield f"# bridge.yaml, where {client} is the bridge's; its user must own the key"
        yield "broker:"
        yield f"  url: mqtts://{f'[{host}]' if ':' in host else host}:8883"
        yield f"  ca_file: {ca}"
        yield f"  certificate_file: {directory / client}.pem"
        yield f"  key_file: {directory / client}.key"
        yield ""
    yield f"# Keep {directory / _AUTHORITY}.key away from them: who has it is whoever they like."
