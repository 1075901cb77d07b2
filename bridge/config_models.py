"""Every setting: its name, type, default, bounds and meaning, declared once.

The tables in `docs/configuration.md`, the error messages and `syncbridge config` are all made from
these declarations; those of `broker` are in `bridge.config_broker`. How values get here is
`bridge.config`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationInfo, field_validator

from bridge.config_address import MQTT_PORT
from bridge.config_broker import BrokerConfig
from bridge.config_http import HttpConfig
from bridge.config_observation import MetricsConfig, TracingConfig
from bridge.config_schemas import NO_SCHEMAS, SchemaTable
from bridge.config_sealing import SealingConfig
from bridge.config_section import Section
from bridge.config_watch import PresenceConfig, ResyncConfig
from bridge.core.compression import NO_COMPRESSION, CompressionRules
from bridge.core.limits import KIBIBYTE, Limits
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.topics import TopicGrammar
from bridge.store.base import StoreLimits
from bridge.store.indexed_paths import parse_indexed_paths

_MEBIBYTE = 1024 * KIBIBYTE
_MICROSECONDS_PER_SECOND = 1_000_000
_SECONDS_PER_DAY = 86_400

_CORE = Limits()
_STORE = StoreLimits()

_TABLE = TypeAdapter(Mapping[str, Mapping[str, str]])


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
        description="Changes kept per twin; the oldest go first, at every 64th version of the "
        "twin: up to 63 more may be there.",
    )
    history_days: int = Field(
        default=_STORE.history_age_us // (_SECONDS_PER_DAY * _MICROSECONDS_PER_SECOND),
        ge=0,
        le=36_500,
        description="Changes older than this go as well, at the same moments.",
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
    quarantine_payload_bytes: int = Field(
        default=_STORE.quarantine_payload_bytes,
        ge=0,
        le=_MEBIBYTE,
        description="Bytes of each of these payloads that are kept, from its beginning. 0 keeps "
        "none, where payloads are secret. Nothing of a sealed one is kept.",
    )
    conflicts_kept: int = Field(
        default=_STORE.conflicts,
        ge=0,
        le=10_000,
        description="Entries of the conflict log kept per twin; the oldest go first.",
    )
    audit_acts: int = Field(
        default=_STORE.audit_acts,
        ge=100,
        le=1_000_000,
        description="Acts kept in the audit trail, the oldest go first: so many of administrators, "
        "and so many of clients, who must not push those out.",
    )
    cache_bytes: int = Field(
        default=256 * _MEBIBYTE,
        ge=_MEBIBYTE,
        le=1024 * 1024 * _MEBIBYTE,
        description="Memory for twins, half of it for those that are written often. Twins beyond "
        "it are read from the store again.",
    )
    indexes: str = Field(
        default="",
        max_length=4096,
        description="Paths that [queries](queries.md#indexes) find by an index, such as "
        "`reported.battery, desired.mode`, separated by commas. Each costs time at every commit.",
        json_schema_extra={
            "allowed": "paths such as reported.battery, with keys of A-Z a-z 0-9 _ : @ ~ -, "
            "separated by commas"
        },
    )
    retry_timeout_s: float = Field(
        default=30.0,
        ge=1.0,
        le=3600.0,
        description="How long a batch that cannot be committed is tried again before the "
        "connection is dropped, so that the broker keeps its messages.",
    )

    @field_validator("indexes")
    @classmethod
    def _check_indexes(cls, text: str) -> str:
        parse_indexed_paths(text)
        return text

    def to_limits(self) -> StoreLimits:
        """Return what a store needs to know of this."""
        return StoreLimits(
            history_changes=self.history_changes,
            history_age_us=self.history_days * _SECONDS_PER_DAY * _MICROSECONDS_PER_SECOND,
            quarantine_messages=self.quarantine_messages,
            quarantine_bytes=self.quarantine_bytes,
            quarantine_payload_bytes=self.quarantine_payload_bytes,
            conflicts=self.conflicts_kept,
            audit_acts=self.audit_acts,
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
        default=4000,
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
    writer_messages_per_s: float = Field(
        default=0.0,
        ge=0.0,
        le=1_000_000.0,
        description="Messages that each writer may send on each topic in a second, lest one "
        "takes the bridge's time from all others. 0: no limit.",
    )
    writer_burst_messages: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Messages that it may send at once after a rest: at least what a writer sends "
        "while the bridge is away, which then arrives together.",
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


class PermissionsConfig(Section):
    """Who may read and write what."""

    file: Path | None = Field(
        default=None,
        description="The file with the permissions ([permissions](permissions.md)). Not set: "
        "whoever may publish may do everything, and the bridge says so at its start.",
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

    model_config = ConfigDict(arbitrary_types_allowed=True)

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
    permissions: PermissionsConfig = PermissionsConfig()
    sealing: SealingConfig = SealingConfig()
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    compression: CompressionRules = Field(
        default=NO_COMPRESSION,
        description="What goes down to which device compressed, and how. "
        "See [Compression](#compression).",
        json_schema_extra={
            "table": True,
            "allowed": "a line `down: none`, `zlib`, `zstd` or `dictionary` below device patterns; "
            "in the file only",
        },
    )
    policies: Policies = Field(
        default=NO_POLICIES,
        description="Which policy settles concurrent writes where. "
        "See [Conflict policies](#conflict-policies).",
        json_schema_extra={
            "table": True,
            "allowed": "`path pattern: policy` lines below device patterns; in the file only",
        },
    )
    schemas: SchemaTable = Field(
        default=NO_SCHEMAS,
        description="Files of JSON Schema that sections have to fit ([schemas](schemas.md)).",
        json_schema_extra={
            "table": True,
            "allowed": "`reported: file` and `desired: file` lines below device patterns; "
            "in the file only",
        },
    )

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        TopicGrammar(prefix)
        return prefix

    @field_validator("compression", mode="before")
    @classmethod
    def _parse_compression(cls, table: object) -> CompressionRules:
        if isinstance(table, CompressionRules):
            return table
        return CompressionRules.parse(_TABLE.validate_python(table))

    @field_validator("policies", mode="before")
    @classmethod
    def _parse_policies(cls, table: object, info: ValidationInfo) -> Policies:
        if isinstance(table, Policies):
            return table
        # Where the limits are wrong themselves, that is the error that is shown.
        limits: LimitsConfig = info.data.get("limits", LimitsConfig())
        return Policies.parse(_TABLE.validate_python(table), limits.to_core())

    @field_validator("schemas", mode="before")
    @classmethod
    def _parse_schemas(cls, table: object) -> SchemaTable:
        if isinstance(table, SchemaTable):
            return table
        return SchemaTable.parse(_TABLE.validate_python(table))
