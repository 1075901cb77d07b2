"""Every setting: its name, type, default, bounds and meaning, declared once.

The tables in `docs/configuration.md`, the error messages and `syncbridge config` are all made from
these declarations. How values get here is `bridge.config`'s matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from bridge.config_address import MQTT_PORT, URL_RULE, Address, is_printable, parse_address
from bridge.config_section import Section
from bridge.config_watch import PresenceConfig, ResyncConfig
from bridge.core.limits import KIBIBYTE, Limits
from bridge.core.topics import TopicGrammar
from bridge.errors import ConfigError
from bridge.store.base import StoreLimits

_MEBIBYTE = 1024 * KIBIBYTE
_MICROSECONDS_PER_SECOND = 1_000_000
_SECONDS_PER_DAY = 86_400

_CORE = Limits()
_STORE = StoreLimits()

PASSWORD_FILE_BYTES = 65_535
"""The longest password that MQTT's length field can say (MQTT 5 section 3.1.3.6)."""


class BrokerConfig(Section):
    """The connection to the MQTT broker."""

    url: str | None = Field(
        default=None,
        description="Address of the MQTT broker. Not set: the embedded broker is started.",
        json_schema_extra={"allowed": URL_RULE},
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="User to log in as. Not set: anonymous.",
    )
    password: SecretStr | None = Field(
        default=None,
        description="Password of the user; only from the environment, and stronger than "
        "`broker.password_file`. Never printed.",
    )
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password, for secrets that are mounted. One newline at "
        "its end is not part of it.",
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="MQTT client id, to which the broker ties the session. Not set: random, made "
        "at the first start and kept in the store.",
    )
    keepalive_s: int = Field(
        default=30,
        ge=1,
        le=65_535,
        description="A connection on which nothing came for about this long is given up "
        "(MQTT 5 section 3.1.2.10). 0 is not allowed: a dead connection would never be noticed.",
    )
    connect_timeout_s: float = Field(
        default=10.0,
        ge=0.1,
        le=300.0,
        description="How long one attempt to connect may take.",
    )
    session_expiry_s: int = Field(
        default=7 * _SECONDS_PER_DAY,
        ge=60,
        le=2**32 - 2,
        description="How long the broker keeps messages for a bridge that is away. Always finite: "
        "a bridge that never returns would fill the broker.",
    )
    receive_maximum: int = Field(
        default=1000,
        ge=1,
        le=65_535,
        description="Messages that the broker may send before one is acknowledged "
        "(MQTT 5 section 3.1.2.11.3). Throughput is at most this many per commit.",
    )
    publish_window: int = Field(
        default=1000,
        ge=1,
        le=65_535,
        description="Publishes that may wait for the broker's acknowledgement at the same time, or "
        "the broker's receive maximum if that is less.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None:
            parse_address(url)
        return url

    @field_validator("username", "client_id")
    @classmethod
    def _check_printable(cls, text: str | None) -> str | None:
        if text is not None and not is_printable(text):
            raise ValueError("control characters are not allowed")
        return text

    @model_validator(mode="after")
    def _check_login(self) -> BrokerConfig:
        if self.username is None and (self.password or self.password_file):
            raise ValueError("a password is given but no user: set broker.username too")
        return self

    @property
    def address(self) -> Address | None:
        """Host and port of the broker; None for the embedded one."""
        return None if self.url is None else parse_address(self.url)

    def read_password(self) -> str | None:
        """Return the password from the environment or from `password_file`, if there is one.

        Raises:
            ConfigError: The file cannot be read, is too long or is not UTF-8.
        """
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is None:
            return None
        try:
            with self.password_file.open("rb") as file:
                content = file.read(PASSWORD_FILE_BYTES + 3)
            password = content.decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"broker.password_file: {self.password_file} cannot be read: {error}",
                field="broker.password_file",
            ) from error
        if not 0 < len(password.encode()) <= PASSWORD_FILE_BYTES:
            raise ConfigError(
                f"broker.password_file: {self.password_file} is empty or holds more than "
                f"{PASSWORD_FILE_BYTES} bytes",
                field="broker.password_file",
            )
        return password


class StoreConfig(Section):
    """The authoritative store."""

    path: Path = Field(
        default=Path("syncbridge-data/store.db"),
        description="The SQLite file, made where there is none. Not on a network file system.",
    )
    history_changes: int = Field(
        default=_STORE.history_changes,
        ge=0,
        le=1_000_000,
        description="Changes kept per twin; the oldest go first.",
    )
    history_days: int = Field(
        default=_STORE.history_age_us // (_SECONDS_PER_DAY * _MICROSECONDS_PER_SECOND),
        ge=0,
        le=36_500,
        description="Changes older than this go as well.",
    )
    quarantine_messages: int = Field(
        default=_STORE.quarantine_messages,
        ge=0,
        le=10_000_000,
        description="Refused messages kept for the operator; the oldest go first.",
    )
    quarantine_bytes: int = Field(
        default=_STORE.quarantine_bytes,
        ge=0,
        le=64 * 1024 * _MEBIBYTE,
        description="The same, as the sum of their payloads: anyone who may publish can fill it.",
    )
    cache_bytes: int = Field(
        default=256 * _MEBIBYTE,
        ge=_MEBIBYTE,
        le=1024 * 1024 * _MEBIBYTE,
        description="Memory for decoded twins. Twins beyond it are read from the store again.",
    )
    retry_timeout_s: float = Field(
        default=30.0,
        ge=1.0,
        le=3600.0,
        description="How long a batch that cannot be committed is tried again before the "
        "connection is dropped, so that the broker keeps its messages.",
    )

    def to_limits(self) -> StoreLimits:
        """Return what a store needs to know of this."""
        return StoreLimits(
            history_changes=self.history_changes,
            history_age_us=self.history_days * _SECONDS_PER_DAY * _MICROSECONDS_PER_SECOND,
            quarantine_messages=self.quarantine_messages,
            quarantine_bytes=self.quarantine_bytes,
        )


class PublishConfig(Section):
    """What the bridge publishes."""

    encoding: Literal["json", "msgpack", "both"] = Field(
        default="json",
        description="Encoding of retained `state` and `delta`. `both` adds `state/msgpack` and "
        "`delta/msgpack` beside the JSON.",
    )
    rebuild_per_s: int = Field(
        default=2000,
        ge=1,
        le=1_000_000,
        description="Pace at which retained topics are rebuilt after the broker lost them, so "
        "that live updates are still served.",
    )
    events: bool = Field(
        default=False,
        description="Publish a message on `event` for each version, with what was there before "
        "and what a conflict has lost.",
    )


class LimitsConfig(Section):
    """Bounds on what devices may send."""

    payload_bytes: int = Field(
        default=_CORE.payload_bytes,
        ge=KIBIBYTE,
        le=16 * _MEBIBYTE,
        description="One payload, as it arrives and after every wrapper is taken off. Bounds the "
        "memory that one message can take.",
    )
    twin_bytes: int = Field(
        default=_CORE.twin_bytes,
        ge=KIBIBYTE,
        le=16 * _MEBIBYTE,
        description="One twin, as the JSON on `state`: every reader of the topic must hold it.",
    )
    depth: int = Field(
        default=_CORE.depth,
        ge=1,
        le=64,
        description="Nesting of objects and arrays in a patch: small parsers recurse.",
    )
    keys: int = Field(
        default=_CORE.keys,
        ge=1,
        le=65_536,
        description="Fields in both sections of a twin together.",
    )
    key_bytes: int = Field(
        default=_CORE.key_bytes,
        ge=1,
        le=4096,
        description="One key, as UTF-8.",
    )
    named_twins: int = Field(
        default=_CORE.named_twins,
        ge=0,
        le=1024,
        description="Named twins per device.",
    )
    tombstone_ttl_s: int = Field(
        default=_CORE.tombstone_ttl_us // _MICROSECONDS_PER_SECOND,
        ge=60,
        le=3650 * _SECONDS_PER_DAY,
        description="How long a removal is remembered: longer than a device is normally away.",
    )
    batch_messages: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Messages in one transaction: bounds its memory and the wait for its answer.",
    )
    batch_bytes: int = Field(
        default=4 * _MEBIBYTE,
        ge=KIBIBYTE,
        le=256 * _MEBIBYTE,
        description="The same, as the sum of their payloads. A larger single message goes alone.",
    )
    new_devices_per_minute: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        description="Device ids never seen before that may make a twin in a minute: whoever may "
        "publish can invent ids.",
    )

    def to_core(self) -> Limits:
        """Return what the core and the wire need to know of this."""
        return Limits(
            payload_bytes=self.payload_bytes,
            twin_bytes=self.twin_bytes,
            depth=self.depth,
            keys=self.keys,
            key_bytes=self.key_bytes,
            named_twins=self.named_twins,
            tombstone_ttl_us=self.tombstone_ttl_s * _MICROSECONDS_PER_SECOND,
        )


class LogConfig(Section):
    """The log, which goes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that is written."
    )
    format: Literal["auto", "text", "json"] = Field(
        default="auto",
        description="`auto` is text on a terminal and one JSON object a line elsewhere.",
    )


class EmbeddedConfig(Section):
    """The embedded broker, for trying things out; used where `broker.url` is not set."""

    configuration: Path | None = Field(
        default=None,
        description="amqtt configuration to use instead of the `broker.yaml` that comes with "
        "syncbridge.",
    )
    port: int = Field(
        default=MQTT_PORT,
        ge=1,
        le=65_535,
        description="TCP port on 127.0.0.1; stronger than the port in the configuration file.",
    )


class Config(Section):
    """All settings."""

    prefix: str = Field(
        default="sync",
        max_length=200,
        description="What all topics begin with: one or more levels.",
        json_schema_extra={"allowed": "topic levels without + or #, such as sync or plant/7/sync"},
    )
    broker: BrokerConfig = BrokerConfig()
    store: StoreConfig = StoreConfig()
    publish: PublishConfig = PublishConfig()
    resync: ResyncConfig = ResyncConfig()
    presence: PresenceConfig = PresenceConfig()
    limits: LimitsConfig = LimitsConfig()
    log: LogConfig = LogConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        TopicGrammar(prefix)
        return prefix
