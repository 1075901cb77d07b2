"""Configuration: flags, environment, file and defaults become one frozen, validated object.

In that order: a flag beats a variable, a variable beats the file, the file beats the default. The
declarations are in `bridge.config_models`, what is known of each setting in
`bridge.config_settings`, the reading in `bridge.config_layers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr, ValidationError

from bridge.config_address import Address
from bridge.config_broker import BrokerConfig
from bridge.config_compression import compression_error
from bridge.config_http import HttpConfig
from bridge.config_layers import CONFIG_VARIABLE, Value, from_environment, from_file, from_flags
from bridge.config_models import (
    Config,
    EmbeddedConfig,
    LimitsConfig,
    LogConfig,
    PermissionsConfig,
    PublishConfig,
    StoreConfig,
)
from bridge.config_observation import MetricsConfig, TracingConfig
from bridge.config_permissions import read_permissions
from bridge.config_policies import policy_error
from bridge.config_readers import readers_error
from bridge.config_schemas import NAME as SCHEMAS
from bridge.config_schemas import SchemaTable, SchemaTableError, schema_table_error, with_paths
from bridge.config_sealing import SealingConfig
from bridge.config_settings import SETTINGS, TABLES, Setting, nearest
from bridge.config_watch import PresenceConfig, ResyncConfig
from bridge.config_yaml import Rows, Table
from bridge.core.compression import CompressionError, CompressionRules
from bridge.core.policy import Policies, PolicyError
from bridge.core.readers import Readers, ReadersError
from bridge.errors import ConfigError

__all__ = [
    "CONFIG_VARIABLE",
    "DEFAULT_FILE",
    "SETTINGS",
    "TABLES",
    "Address",
    "BrokerConfig",
    "Config",
    "EmbeddedConfig",
    "HttpConfig",
    "LimitsConfig",
    "LoadedConfig",
    "LogConfig",
    "MetricsConfig",
    "PermissionsConfig",
    "PresenceConfig",
    "PublishConfig",
    "ResyncConfig",
    "SealingConfig",
    "Setting",
    "StoreConfig",
    "TracingConfig",
    "load",
    "nearest",
    "read_permissions",
]

DEFAULT_FILE = Path("bridge.yaml")
"""Read from the working directory where no other file is named."""

_DEFAULT_ORIGIN = "default"
_SHOWN_LENGTH = 100
_OWN_RULE = "value_error"
_HIDDEN = "(not shown)"


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """The configuration in force.

    Attributes:
        config: All settings.
        origins: For each dotted name where its value came from: `default`, `flag --log-level`,
            `environment SYNCBRIDGE_LOG_LEVEL` or `file bridge.yaml:3`.
        file: The file that was read, or None.
        rule_origins: The same for each rule of the policies, by its device and path pattern.
    """

    config: Config
    origins: Mapping[str, str]
    file: Path | None = None
    rule_origins: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def value(self, name: str) -> str | None:
        """Return a setting's value as a file would have it, None where it is not set.

        Secrets are not shown, and of tables only how many entries they have.
        """
        value: object = self.config
        for level in name.split("."):
            value = getattr(value, level)
        if value is None:
            return None
        if isinstance(value, Policies | CompressionRules | Readers):
            return _count(len(value.table), "rule")
        if isinstance(value, SchemaTable):
            return _count(len(value.files), "file")
        if isinstance(value, bool):
            return "true" if value else "false"
        return _HIDDEN if isinstance(value, SecretStr) else str(value)


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None = None
) -> LoadedConfig:
    """Put the layers together and validate them.

    Args:
        flags: Values of flags by dotted name; None where a flag was not given.
        environment: Usually `os.environ`.
        file: From --config. Without it `SYNCBRIDGE_CONFIG`, or else `bridge.yaml` in the working
            directory if it is there.

    Raises:
        ConfigError: A setting is unknown, or its value is not allowed.
    """
    path = _file_to_read(file, environment)
    values: dict[str, Value] = {} if path is None else from_file(path)
    values |= from_environment(environment)
    values |= from_flags(flags)
    origins = dict.fromkeys([*SETTINGS, *TABLES], _DEFAULT_ORIGIN)
    origins |= {name: value.origin for name, value in values.items()}
    try:
        config = Config.model_validate(_nested(values))
    except ValidationError as error:
        raise _explained(error, values) from None
    return LoadedConfig(config, origins, path, _rule_origins(config, values))


def _file_to_read(file: Path | None, environment: Mapping[str, str]) -> Path | None:
    named = file or environment.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _count(entries: int, what: str) -> str | None:
    if not entries:
        return None
    return f"1 {what}" if entries == 1 else f"{entries} {what}s"


def _rule_origins(config: Config, values: Mapping[str, Value]) -> dict[tuple[str, str], str]:
    table = values["policies"].raw if "policies" in values else None
    if not isinstance(table, Table):
        return {}
    rules = [(rule.device, rule.path) for rule in config.policies.table]
    return {rule: table.origin(*rule) for rule in rules}


def _nested(values: Mapping[str, Value]) -> dict[str, object]:
    """Return the raw values in the shape of `Config`."""
    top: dict[str, object] = {}
    sections: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        raw = value.raw
        if isinstance(raw, Table):
            raw = with_paths(raw) if name == SCHEMAS else raw.entries
        elif isinstance(raw, Rows):
            raw = raw.entries
        elif SETTINGS[name].is_path and isinstance(raw, str | Path):
            raw = _expanded(name, value, Path(raw))
        section, _, last = name.rpartition(".")
        if section:
            sections.setdefault(section, {})[last] = raw
        else:
            top[last] = raw
    return top | sections


def _expanded(name: str, value: Value, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name}: {str(value.raw)!r} from {value.origin} is not allowed: "
            "there is no such user's home directory",
            field=name,
            source=value.origin,
            hint="write the path in full",
        ) from error


def _explained(error: ValidationError, values: Mapping[str, Value]) -> ConfigError:
    """Say what is wrong with the first value that is not allowed."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(level) for level in first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, PolicyError) and isinstance(table := values[name].raw, Table):
        return policy_error(cause, table, values[name].origin)
    if isinstance(cause, CompressionError) and isinstance(table := values[name].raw, Table):
        return compression_error(cause, table, values[name].origin)
    if isinstance(cause, SchemaTableError) and isinstance(table := values[name].raw, Table):
        return schema_table_error(cause, table, values[name].origin)
    if isinstance(cause, ReadersError) and isinstance(rows := values[name].raw, Rows):
        return readers_error(cause, rows, values[name].origin)
    # Our own rules explain themselves; of the library's, `Setting.allowed` says it better.
    reason = str(first["msg"]).removeprefix("Value error, ") if first["type"] == _OWN_RULE else ""
    setting = SETTINGS.get(name)
    if setting is None:
        # A rule on a whole section: the reason names the settings.
        return ConfigError(reason, field=name)
    value = values.get(name, Value(setting.default, _DEFAULT_ORIGIN))
    return ConfigError(
        f"{name}: {_shown(setting, value.raw)} from {value.origin} is not allowed"
        + (f": {reason}" if reason else ""),
        field=name,
        source=value.origin,
        hint=f"allowed is {setting.allowed}",
    )


def _shown(setting: Setting, raw: object) -> str:
    text = "an empty value" if raw is None else repr(str(raw))
    # A URL with an @ may hold a password, in whatever place its typing errors have put it.
    if setting.secret or (setting.name == "broker.url" and "@" in text):
        return _HIDDEN
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…"
