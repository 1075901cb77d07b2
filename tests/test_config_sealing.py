"""Where the wrapping key comes from, and what is refused as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.config import load
from bridge.config_sealing import SealingConfig
from bridge.errors import ConfigError

DIGITS = bytes(range(32)).hex()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file that nobody else may read, with a key in it."""
    path = tmp_path / "wrapping.key"
    path.touch(mode=0o600)
    path.write_text(DIGITS + "\n")
    return path


def refusal(config: SealingConfig) -> ConfigError:
    """Why there is no key to be had."""
    with pytest.raises(ConfigError) as refused:
        config.read_wrapping_key()
    assert DIGITS[:16] not in str(refused.value)
    return refused.value


def test_nothing_is_set_by_default() -> None:
    """Then no device can seal."""
    assert SealingConfig().read_wrapping_key() is None


def test_the_key_comes_from_a_file_or_the_environment(key_file: Path) -> None:
    """The environment is stronger."""
    assert SealingConfig(wrapping_key_file=key_file).read_wrapping_key() == bytes(range(32))
    other = SecretStr("ab" * 32)
    both = SealingConfig(wrapping_key_file=key_file, wrapping_key=other)
    assert both.read_wrapping_key() == b"\xab" * 32


def test_a_file_that_the_world_may_read_is_refused(key_file: Path) -> None:
    """With what to do about it."""
    key_file.chmod(0o644)
    error = refusal(SealingConfig(wrapping_key_file=key_file))
    assert error.field == "sealing.wrapping_key_file"
    assert "chmod 640" in error.hint


def test_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    """With how one is made."""
    error = refusal(SealingConfig(wrapping_key_file=tmp_path / "none"))
    assert "openssl rand -hex 32" in error.hint


@pytest.mark.parametrize(
    "content", ["", DIGITS[:-1], DIGITS + "00", "zz" + DIGITS[2:], DIGITS[:62] + " 0", "é" * 64]
)
def test_what_is_no_key_is_refused(key_file: Path, content: str) -> None:
    """And never shown."""
    key_file.write_text(content)
    assert "hexadecimal" in refusal(SealingConfig(wrapping_key_file=key_file)).hint
    assert "hexadecimal" in refusal(SealingConfig(wrapping_key=SecretStr(content))).hint


def test_the_key_may_not_stand_in_the_configuration_file(tmp_path: Path) -> None:
    """Which gets copied."""
    path = tmp_path / "bridge.yaml"
    path.write_text(f"sealing:\n  wrapping_key: {DIGITS}\n")
    with pytest.raises(ConfigError, match=r"sealing\.wrapping_key may not be given"):
        load({}, {}, path)
