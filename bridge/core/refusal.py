"""A refusal: why an update, or a request, was not carried out.

A value and not an exception: bad input from devices is an ordinary event here, and it ends in an
answer, a counter and perhaps the quarantine.
"""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """One refusal, as it stands in a reply.

    Attributes:
        code: As HTTP's status codes (design section 3).
        error: A short stable name, for programs.
        message: What was wrong, where, and what to do about it, for people.
    """

    code: int
    error: str
    message: str
