"""How a payload is given up on while it is taken apart."""

from __future__ import annotations

from bridge.core.refusal import Refusal


class Malformed(Exception):
    """A payload must be refused."""

    def __init__(self, code: int, error: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, error, message)


def expands_too_far(limit_bytes: int, limit_name: str) -> Malformed:
    """Return what is said of a compressed payload that is too large."""
    return Malformed(
        413,
        "payload_too_large",
        f"the compressed payload expands to more than {limit_bytes} bytes: "
        f"send less at once, or raise {limit_name}",
    )
