"""zstd dictionaries (RFC 8878 section 5): what a fleet's payloads have in common, said once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import zstandard

WINDOW_BYTES: Final = 8 * 1024 * 1024
"""Largest window that a frame may ask for, as RFC 8878 (section 3.1.1.1.2) suggests."""

DICTIONARIES_KEPT: Final = 8
"""Dictionaries that are opened with: the current one, and those that devices may still have."""

DICTIONARY_BYTES_MAX: Final = 64 * 1024
"""Largest dictionary: a device has to hold it."""

DICTIONARY_BYTES_MIN: Final = 256
"""Smallest one that zstd trains."""

LEVEL: Final = 3
"""zstd's own default. Small payloads gain nothing above it."""

_PRIVATE_IDS: Final = range(2**15, 2**31)
"""Those that RFC 8878 (section 5) leaves to applications."""


class Dictionary(NamedTuple):
    """One dictionary.

    Attributes:
        id: As it stands in each frame that was made with it.
        content: Of the format of RFC 8878 section 5.
    """

    id: int
    content: bytes


class NoDictionary(ValueError):
    """Bytes are no dictionary, or no dictionary can be made of the samples."""


class Dictionaries:
    """The dictionaries that are known, ready for use. For one thread."""

    def __init__(self, known: Sequence[Dictionary] = ()) -> None:
        self._decoders: dict[int, zstandard.ZstdDecompressor] = {}
        self._encoder: zstandard.ZstdCompressor | None = None
        self.current: int | None = None
        self.replace(known)

    def replace(self, known: Sequence[Dictionary]) -> None:
        """Know these and no others.

        Args:
            known: The current one first; what is beyond `DICTIONARIES_KEPT` is left out.

        Raises:
            NoDictionary: One of them is none.
        """
        made = [(each.id, _read(each)) for each in known[:DICTIONARIES_KEPT]]
        self._decoders = {
            number: zstandard.ZstdDecompressor(dict_data=data, max_window_size=WINDOW_BYTES)
            for number, data in made
        }
        self.current, self._encoder = None, None
        if made:
            self.current, data = made[0]
            self._encoder = zstandard.ZstdCompressor(level=LEVEL, dict_data=data)

    @property
    def ids(self) -> list[int]:
        """Those that are known, the current one first."""
        return [*self._decoders]

    def decoder(self, number: int) -> zstandard.ZstdDecompressor | None:
        """Return what opens frames that were made with a dictionary; None where it is not known."""
        return self._decoders.get(number)

    def compress(self, payload: bytes) -> bytes | None:
        """Return a frame made with the current dictionary; None where there is none."""
        return None if self._encoder is None else self._encoder.compress(payload)


def _read(dictionary: Dictionary) -> zstandard.ZstdCompressionDict:
    content = dictionary.content
    if len(content) > DICTIONARY_BYTES_MAX:
        raise NoDictionary(f"a dictionary has at most {DICTIONARY_BYTES_MAX} bytes")
    try:
        read = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_FULLDICT)
        read.precompute_compress(level=LEVEL)
        found = read.dict_id()
    except zstandard.ZstdError as error:
        raise NoDictionary(f"not a zstd dictionary: {error}") from None
    if found != dictionary.id or not found:
        raise NoDictionary(f"a dictionary says that its id is {found}, not {dictionary.id}")
    return read


def _new_id() -> int:
    # zstd's own choice is a hash of a part: two dictionaries that differ could have the same.
    return _PRIVATE_IDS.start + secrets.randbelow(len(_PRIVATE_IDS))


def train(samples: Sequence[bytes], size_bytes: int) -> Dictionary:
    """Make a dictionary of samples.

    Args:
        samples: Payloads such as will be compressed.
        size_bytes: How large it may be.

    Raises:
        NoDictionary: There are too few samples, or they have too little in common.
    """
    try:
        made = zstandard.train_dictionary(size_bytes, [*samples], level=LEVEL, dict_id=_new_id())
    except (zstandard.ZstdError, ValueError) as error:
        raise NoDictionary(
            f"no dictionary can be made of {len(samples)} samples: {error}"
        ) from None
    return Dictionary(made.dict_id(), made.as_bytes())
