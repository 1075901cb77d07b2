"""`syncbridge version`."""

from __future__ import annotations

import json
import platform

import click

from bridge import __version__


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(as_json: bool) -> None:
    """Print the version.

    \b
    Examples:
      syncbridge version
      syncbridge version --json
    """  # noqa: D301
    if as_json:
        click.echo(json.dumps({"version": __version__, "python": platform.python_version()}))
    else:
        click.echo(f"syncbridge {__version__}")
