"""What is wrong with the table `policies`, said with the lines of the file."""

from __future__ import annotations

from bridge.config_settings import nearest
from bridge.config_yaml import Table
from bridge.core.policy import POLICIES, PolicyError
from bridge.errors import ConfigError

NAME = "policies"


def policy_error(error: PolicyError, table: Table, origin: str) -> ConfigError:
    """Say which rule is not allowed, where it stands, and what to do.

    Args:
        error: What is wrong.
        table: What was read.
        origin: Where the table begins.
    """
    keys = tuple(key for key in (error.device, error.path) if key is not None)
    field = ".".join((NAME, *keys))
    source = table.origin(*keys) if keys else origin
    hint = ""
    if error.policy is not None:
        meant = nearest(error.policy, POLICIES)
        hint = f"did you mean {meant}?" if meant else ""
    elif error.other is not None:
        other = table.lines[error.other.device, error.other.path]
        hint = f"the other one is in line {other}; make one more specific, or remove it"
    return ConfigError(
        f"{field} from {source} is not allowed: {error.reason}",
        field=field,
        source=source,
        hint=hint,
    )
