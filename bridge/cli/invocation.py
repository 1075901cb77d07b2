"""What one call of the program was given: the flags, and the configuration they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    # At run time only when it is needed: pydantic takes longer to import than a command to run.
    from bridge.config import LoadedConfig


@dataclass(slots=True)
class Invocation:
    """The object that click hands to every command (`@pass_invocation`).

    Attributes:
        flags: Values of settings given as flags, by dotted name.
        file: From --config, or None.
    """

    flags: dict[str, object] = field(default_factory=dict)
    file: Path | None = None

    def load(self, extra: Mapping[str, object] | None = None) -> LoadedConfig:
        """Load the configuration from flags, environment and file.

        Args:
            extra: Further settings by dotted name, as flags of one command.

        Raises:
            ConfigError: A setting is unknown or its value is not allowed.
        """
        from bridge.config import load

        return load({**self.flags, **(extra or {})}, os.environ, self.file)


pass_invocation: Callable[[Callable[..., object]], Callable[..., object]] = (
    click.make_pass_decorator(Invocation, ensure=True)
)
