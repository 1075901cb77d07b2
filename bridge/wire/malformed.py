"""How the modules of this package give up on a payload; never leaves the package."""

from __future__ import annotations

from bridge.core.refusal import Refusal


class Malformed(Exception):
    """A payload must be refused."""

    def __init__(self, code: int, error: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, error, message)
