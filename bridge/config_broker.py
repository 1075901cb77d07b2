"""The settings of the connection to the MQTT broker."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from bridge.config_address import URL_RULE, Address, is_printable, parse_url
from bridge.config_section import Section
from bridge.secret_file import read_secret

_SECONDS_PER_DAY = 86_400


class BrokerConfig(Section):
    """The connection to the MQTT broker."""

    url: str | None = Field(
        default=None,
        description="Address of the MQTT broker; `mqtts` and `wss` are over TLS, and `ws` and "
        "`wss` over WebSocket, at the path `/mqtt` where none is given. Not set: the embedded "
        "broker is started.",
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
        "its end is not part of it. Everybody else on the machine must have no right on it.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates, in PEM, of the authorities that may have signed the broker's; "
        "with TLS only. Not set: those that the system trusts.",
    )
    certificate_file: Path | None = Field(
        default=None,
        description="The bridge's own certificate in PEM, for a broker that asks for one; "
        "intermediate ones follow it in the file.",
    )
    key_file: Path | None = Field(
        default=None,
        description="Its private key in PEM, not encrypted; only the bridge's user may have any "
        "right on the file.",
    )
    server_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="The name that the broker's certificate is for, where that is not the host in "
        "`broker.url`.",
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
        default=4000,
        ge=1,
        le=65_535,
        description="Messages that the broker may send before one is acknowledged "
        "(MQTT 5 section 3.1.2.11.3). Throughput is at most this many per commit.",
    )
    publish_window: int = Field(
        default=1000,
        ge=1,
        le=65_534,
        description="Publishes that may wait for the broker's acknowledgement at the same time, or "
        "the broker's receive maximum if that is less.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None:
            parse_url(url)
        return url

    @field_validator("ca_file", "certificate_file", "key_file", "server_name")
    @classmethod
    def _check_tls(cls, value: Path | str | None, info: ValidationInfo) -> Path | str | None:
        # Without "url" in it, the URL was refused, and that is what is reported.
        if value is not None and "url" in info.data:
            url = info.data["url"]
            if url is None or not parse_url(url).tls:
                raise ValueError(
                    "it is for TLS, and broker.url does not begin with mqtts:// or wss://"
                )
        return value

    @field_validator("username", "client_id", "server_name")
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

    @model_validator(mode="after")
    def _check_certificate(self) -> BrokerConfig:
        if self.key_file is None and self.certificate_file is not None:
            raise ValueError("broker.certificate_file is set, and broker.key_file is not")
        if self.certificate_file is None and self.key_file is not None:
            raise ValueError("broker.key_file is set, and broker.certificate_file is not")
        return self

    @property
    def address(self) -> Address | None:
        """Host and port of the broker; None for the embedded one."""
        return None if self.url is None else parse_url(self.url).address

    @property
    def tls(self) -> bool:
        """The broker is spoken to over TLS."""
        return self.url is not None and parse_url(self.url).tls

    @property
    def websocket_path(self) -> str | None:
        """Path of the broker's WebSocket; None where there is none."""
        return None if self.url is None else parse_url(self.url).websocket_path

    def read_password(self) -> str | None:
        """Return the password from the environment or from `password_file`, if there is one.

        Raises:
            ConfigError: The file cannot be read, is open to everybody, is too long or is not UTF-8.
        """
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is None:
            return None
        return read_secret("broker.password_file", self.password_file)
