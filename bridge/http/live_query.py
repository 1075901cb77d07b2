"""A query that is followed: which twins come to be found, and which cease to be."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from bridge.core.topics import TwinKey
from bridge.http.hub import Event, Kind
from bridge.http.searching import Question

MEMBERS_REMEMBERED: Final = 10_000
"""Twins of which a reader's query remembers whether they are found: some MiB. Of others it is not
known whether the reader has them, and they are told as if it were so."""


class LiveQuery:
    """What one reader of a query knows.

    A reader that keeps what is told as `present`, `enter` and `change`, and lets go of what is told
    as `leave` and `deleted`, has exactly the twins that are found. After a resume, and where more
    are found than are remembered, that takes an `enter` of what the reader has already, or a
    `leave` of what it does not have.

    Args:
        question: What is asked.
        is_complete: The reader has nothing yet. Otherwise it is not known what it has.
    """

    def __init__(self, question: Question, *, is_complete: bool) -> None:
        self._question = question
        self._is_complete = is_complete
        self._is_found: OrderedDict[TwinKey, bool] = OrderedDict()

    def add(self, key: TwinKey) -> None:
        """Take note of a twin that the reader was told of as present."""
        self._remember(key, is_found=True)

    def judge(self, event: Event) -> Event | None:
        """Return what a change is to the reader; None where it is nothing.

        To be called for each change, in their order.
        """
        key = event.key
        question = self._question
        is_found = event.matches(question.term)
        if not is_found and self._is_complete and key not in self._is_found:
            return None  # It is most of what comes.
        if not question.admits(key):
            return None
        kind = self._turn(key, is_found=is_found)
        if kind == "leave" and not event.view.exists:
            kind = "change"  # It is told as deleted.
        return None if kind is None else event.turned(kind)

    def _turn(self, key: TwinKey, *, is_found: bool) -> Kind | None:
        was_found = self._is_found.get(key, False if self._is_complete else None)
        if was_found is False and not is_found:
            return None
        self._remember(key, is_found=is_found)
        if not is_found:
            return "leave"
        return "change" if was_found else "enter"

    def _remember(self, key: TwinKey, *, is_found: bool) -> None:
        self._is_found.pop(key, None)
        if self._is_complete and not is_found:
            return  # As all that is not named.
        self._is_found[key] = is_found
        if len(self._is_found) > MEMBERS_REMEMBERED:
            self._is_found.popitem(last=False)
            self._is_complete = False
