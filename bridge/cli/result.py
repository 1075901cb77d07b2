"""How a change that the bridge accepted is printed."""

from __future__ import annotations

import click

from bridge.cli.text import compact_json
from bridge.core.topics import TwinKey
from bridge.device.replies import Reply


def print_result(key: TwinKey, reply: Reply, *, as_json: bool, what: str = "version") -> None:
    """Print the version that a change has led to, and whether it changed anything."""
    if as_json:
        click.echo(
            compact_json(
                {
                    "device": key.device,
                    "name": key.name,
                    "version": reply.version,
                    "changed": reply.changed,
                    "superseded": reply.superseded,
                }
            )
        )
    else:
        click.echo(f"{key} {what} {reply.version}{_remark(reply)}")


def _remark(reply: Reply) -> str:
    if reply.superseded:
        return " (superseded: what is there stays)"
    return "" if reply.changed else " (unchanged)"
