"""What the tests read out of a document: fenced blocks, tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ROOT / "docs"

_HEADING = re.compile(r"^#+ +(.*)$")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


class Block(NamedTuple):
    """A fenced block: the word behind its fence, the heading above it, its line, its text."""

    kind: str
    heading: str
    line: int
    text: str


class Document:
    """One document of `docs/`.

    Args:
        name: Its file name.
    """

    def __init__(self, name: str) -> None:
        self.path = DOCUMENTS / name
        self.text = self.path.read_text(encoding="utf-8")

    def blocks(self, kind: str) -> list[Block]:
        """Return the fenced blocks of a kind, in their order."""
        return [block for block in self._fenced() if block.kind == kind]

    def _fenced(self) -> Iterator[Block]:
        heading = kind = ""
        start = 0
        inside: list[str] | None = None
        for number, line in enumerate(self.text.splitlines(), 1):
            if line.startswith("```"):
                if inside is None:
                    inside, kind, start = [], line[3:].strip(), number
                else:
                    yield Block(kind, heading, start, "\n".join(inside))
                    inside = None
            elif inside is not None:
                inside.append(line)
            elif found := _HEADING.match(line):
                heading = found[1]

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    def links(self) -> list[tuple[str, str]]:
        """Return text and target of every link, the text without its backquotes."""
        return [(text.strip("`"), target) for text, target in _LINK.findall(self.prose)]

    def code(self) -> list[str]:
        """Return everything that stands in backquotes outside of fenced blocks and links."""
        return re.findall(r"`([^`\n]+)`", _LINK.sub("", self.prose))

    def table(self, header: str) -> list[list[str]]:
        r"""Return the cells of the rows of the one table whose header row begins so.

        A `|` inside a cell is written as `\|`.
        """
        lines = self.text.splitlines()
        (start,) = (n for n, line in enumerate(lines) if line.startswith(f"| {header} |"))
        rows = []
        for line in lines[start + 2 :]:
            if not line.startswith("|"):
                break
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.replace("\\|", "|").strip() for cell in cells])
        return rows


def plain(cell: str) -> str:
    """Return a cell's text without its backquotes."""
    return cell.replace("`", "")
