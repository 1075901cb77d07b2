"""Output: coloured for people on a terminal, plain for programs in a pipe."""

from __future__ import annotations

import sys

import click

from bridge.cli.text import compact_json, indented_json
from bridge.core.section import JsonValue


def is_terminal() -> bool:
    """Tell whether a person reads the standard output."""
    return sys.stdout.isatty()


def print_json(value: JsonValue, *, compact: bool) -> None:
    """Print a value as JSON: in one line for programs, or indented, and coloured on a terminal."""
    if compact:
        click.echo(compact_json(value))
    elif is_terminal():
        # Only here: in a pipe, the time that it takes to import is spent for nothing.
        from rich.console import Console
        from rich.highlighter import JSONHighlighter

        Console().print(JSONHighlighter()(indented_json(value)), soft_wrap=True)
    else:
        click.echo(indented_json(value))


def print_error(message: str, hint: str = "") -> None:
    """Print what went wrong, and what to do about it, to the standard error."""
    click.echo(f"syncbridge: {message}", err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)
