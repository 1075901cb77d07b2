"""Output: coloured for people on a terminal, plain for programs in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

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


def print_note(line: str) -> None:
    """Print what a person may want to know, and a program need not, to the standard error."""
    click.echo(line, err=True)


def terminal_printer(separator: str = " ") -> Callable[[Sequence[tuple[str, str]]], None]:
    """Return a function that prints (text, style) pieces as one line of the terminal."""
    from rich.console import Console
    from rich.text import Text

    # Nothing is highlighted or read as markup: what devices send is in the line.
    console = Console(highlight=False)

    def print_line(spans: Sequence[tuple[str, str]]) -> None:
        line = Text(separator).join(Text(text, style) for text, style in spans)
        console.print(line, soft_wrap=True)

    return print_line


def line_printer() -> Callable[[Sequence[tuple[str, str]]], None]:
    """Return a function that prints (text, style) pieces as one line, here or into a pipe."""
    if is_terminal():
        return terminal_printer()
    return lambda spans: click.echo(" ".join(text for text, _ in spans))


def print_table(header: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Print rows of (text, style) cells in columns, coloured on a terminal only."""
    lines = [[(title, "bold") for title in header], *rows]
    widths = [max(len(line[column][0]) for line in lines) for column in range(len(header))]
    padded = [
        [(f"{text:<{width}}", style) for (text, style), width in zip(line, widths, strict=True)]
        for line in lines
    ]
    if is_terminal():
        print_spans = terminal_printer(separator="  ")
        for line in padded:
            print_spans(line)
    else:
        for line in padded:
            click.echo("  ".join(text for text, _ in line).rstrip())
