"""zlib (RFC 1950) and gzip (RFC 1952): one whole stream, expanded within a bound."""

from __future__ import annotations

import zlib
from typing import Final, Literal, TypeAlias

from bridge.wire.malformed import Malformed, expands_too_far

Form: TypeAlias = Literal["zlib", "gzip"]

_WINDOW_BITS: Final[dict[Form, int]] = {"zlib": zlib.MAX_WBITS, "gzip": 16 + zlib.MAX_WBITS}


def expand(data: bytes, limit_bytes: int, limit_name: str, form: Form = "zlib") -> bytes:
    """Expand one stream.

    Args:
        data: The stream, and nothing else.
        limit_bytes: It may expand to this and not a byte more, checked while expanding.
        limit_name: The setting that says so.
        form: Which of the two it is.

    Raises:
        Malformed: It is no whole stream, something follows it, or it expands beyond the limit.
    """
    inflater = zlib.decompressobj(_WINDOW_BITS[form])
    try:
        inner = inflater.decompress(data, limit_bytes + 1)
    except zlib.error as error:
        raise Malformed(400, "bad_wrapper", f"not valid {form}: {error}") from None
    if len(inner) > limit_bytes:
        raise expands_too_far(limit_bytes, limit_name)
    if not inflater.eof or inflater.unused_data:
        raise Malformed(400, "bad_wrapper", f"the {form} stream is cut short, or bytes follow it")
    return inner
