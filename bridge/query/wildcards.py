"""Texts that match a pattern, in time that grows with the text and not with what is in it.

Who follows a query has it evaluated at every change, in the event loop, on texts that devices
choose. A search that goes back for every character would stand still there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

PATTERNS_REMEMBERED: Final = 1024
"""Patterns that are kept ready."""

_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def lower_ascii(text: str) -> str:
    """Return a text with A to Z in lower case, and everything else as it is."""
    return text.translate(_LOWER)


class Wildcards:
    """A pattern.

    Args:
        pattern: The pattern.
        any_text: The sign for any run of characters, also none.
        any_character: The sign for one character.
    """

    def __init__(self, pattern: str, any_text: str, any_character: str) -> None:
        first, *rest = pattern.split(any_text)
        self._first = _Part(first, any_character)
        self._inner = tuple(_Part(part, any_character) for part in rest[:-1] if part)
        self._last = _Part(rest[-1], any_character) if rest else None

    def match(self, text: str) -> bool:
        """Tell whether the whole of a text matches."""
        first, last = self._first, self._last
        if last is None:
            return len(text) == first.length and first.stands_at(text, 0)
        end = len(text) - last.length
        if end < first.length or not first.stands_at(text, 0) or not last.stands_at(text, end):
            return False
        position = first.length
        for part in self._inner:
            # The earliest place leaves most for the parts behind.
            position = part.end_in(text, position, end)
            if position < 0:
                return False
        return True


class _Part:
    """Characters, some of them any."""

    def __init__(self, part: str, any_character: str) -> None:
        self.length = len(part)
        self._text = part
        self._is_plain = any_character not in part
        self._plain = [(n, c) for n, c in enumerate(part) if c != any_character]
        # Shift-and: bit n of a mask says that the character may stand at n.
        self._any = sum(1 << n for n, c in enumerate(part) if c == any_character)
        self._masks: dict[str, int] = {}
        for number, character in self._plain:
            self._masks[character] = self._masks.get(character, self._any) | 1 << number

    def stands_at(self, text: str, position: int) -> bool:
        """Tell whether it stands at a position from which on the text is long enough."""
        if self._is_plain:
            return text.startswith(self._text, position)
        return all(text[position + number] == character for number, character in self._plain)

    def end_in(self, text: str, start: int, end: int) -> int:
        """Return where it ends at the earliest within a part of a text; -1 if it is not there."""
        if self._is_plain:
            found = text.find(self._text, start, end)
            return found if found < 0 else found + self.length
        masks, otherwise = self._masks, self._any
        last = 1 << self.length - 1
        begun = 0
        for position in range(start, end):
            begun = (begun << 1 | 1) & masks.get(text[position], otherwise)
            if begun & last:
                return position + 1
        return -1


@lru_cache(maxsize=PATTERNS_REMEMBERED)
def wildcards(pattern: str, any_text: str, any_character: str) -> Wildcards:
    """Return a pattern, made ready once; see `Wildcards`."""
    return Wildcards(pattern, any_text, any_character)
