"""The settings of sealed payloads, and where the key comes from that wraps those of devices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, Field, SecretStr, TypeAdapter, field_validator

from bridge.config_section import Section
from bridge.core.readers import NO_READERS, Readers
from bridge.errors import ConfigError
from bridge.secret_file import NOT_THE_WORLD, require_private

WRAPPING_KEY_BYTES: Final = 32

_DIGITS: Final = 2 * WRAPPING_KEY_BYTES
_FORM: Final = f"it is {_DIGITS} hexadecimal digits, such as `openssl rand -hex 32` prints"

_ROWS: Final = TypeAdapter(Sequence[Mapping[str, str]])


class SealingConfig(Section):
    """Sealed payloads: what only the bridge and one device can read ([sealed payloads](sealed-payloads.md))."""  # noqa: E501

    model_config = ConfigDict(arbitrary_types_allowed=True)

    wrapping_key: SecretStr | None = Field(
        default=None,
        description="Key that the keys of devices are wrapped with in the store, as 64 hexadecimal "
        "digits; only from the environment, and stronger than `sealing.wrapping_key_file`. Never "
        "printed.",
    )
    wrapping_key_file: Path | None = Field(
        default=None,
        description="File that holds it, with a newline at the end or none. Everybody else on the "
        "machine must have no right on it. Neither set: no device can seal.",
    )
    old_wrapping_key: SecretStr | None = Field(
        default=None,
        description="The wrapping key before, while it is being changed: at its start the bridge "
        "wraps anew what it opens. As `sealing.wrapping_key`, only from the environment.",
    )
    old_wrapping_key_file: Path | None = Field(
        default=None,
        description="File that holds it. Remove the setting once the log says so. "
        "See [changing the wrapping key](sealed-payloads.md#changing-the-wrapping-key).",
    )
    refuse_clear: bool = Field(
        default=True,
        description="Refuse what a device that has a key sends in clear. Switch it off only while "
        "a fleet is being moved to sealed payloads: anyone at the broker can then speak for it.",
    )
    overlap_days: int = Field(
        default=7,
        ge=0,
        le=3650,
        description="How long the key before still opens, once a device has used its new one: "
        "what waited for its reply is sent again as it was sealed.",
    )
    readers: Readers = Field(
        default=NO_READERS,
        description="Groups that read the retained states of devices that have a key, each with a "
        "key of the group. The first entry that matches counts. "
        "See [groups of readers](sealed-payloads.md#groups-of-readers).",
        json_schema_extra={
            "table": "list",
            "allowed": "a list of entries with `devices`, a device pattern, and `group`, a name; "
            "in the file only",
        },
    )

    @field_validator("readers", mode="before")
    @classmethod
    def _parse_readers(cls, entries: object) -> Readers:
        if isinstance(entries, Readers):
            return entries
        return Readers.parse(_ROWS.validate_python(entries))

    def read_wrapping_key(self) -> bytes | None:
        """Return the wrapping key from the environment or from its file, if there is one.

        Raises:
            ConfigError: The file cannot be read or is open to everybody, or it holds no such key.
        """
        return _read("sealing.wrapping_key", self.wrapping_key, self.wrapping_key_file)

    def read_old_wrapping_key(self) -> bytes | None:
        """Return the wrapping key before, if it is set: as `read_wrapping_key`."""
        return _read("sealing.old_wrapping_key", self.old_wrapping_key, self.old_wrapping_key_file)


def _read(name: str, given: SecretStr | None, path: Path | None) -> bytes | None:
    if given is not None:
        return _decoded(given.get_secret_value(), name)
    if path is None:
        return None
    field = f"{name}_file"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            require_private(field, path, mode, NOT_THE_WORLD)
            content = file.read(_DIGITS + 3)
    except OSError as error:
        raise ConfigError(
            f"{field}: {path} cannot be read: {error.strerror}",
            field=field,
            hint="make one: (umask 077; openssl rand -hex 32 > FILE)",
        ) from error
    # What is no ASCII is no digit either; the content is never shown.
    return _decoded(content.decode("ascii", "replace"), field)


def _decoded(text: str, field: str) -> bytes:
    digits = text.removesuffix("\n").removesuffix("\r")
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        key = b""
    if len(digits) != _DIGITS or len(key) != WRAPPING_KEY_BYTES:
        raise ConfigError(f"{field} is no wrapping key", field=field, hint=_FORM)
    return key
