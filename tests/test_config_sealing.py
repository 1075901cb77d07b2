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


def test_groups_of_readers_are_a_list_in_the_file(tmp_path: Path) -> None:
    """In its order; elsewhere they cannot be set."""
    path = tmp_path / "bridge.yaml"
    path.write_text(
        "sealing:\n  overlap_days: 3\n  readers:\n"
        '    - {devices: lamp-1, group: cellar}\n    - devices: "*"\n      group: hall\n'
    )
    loaded = load({}, {}, path)
    readers = loaded.config.sealing.readers
    assert readers.table == (("lamp-1", "cellar"), ("*", "hall"))
    assert loaded.value("sealing.readers") == "2 rules"
    assert loaded.origins["sealing.readers"] == f"file {path}:3"
    path.write_text("sealing:\n  readers:\n")
    assert load({}, {}, path).config.sealing.readers.table == ()
    with pytest.raises(ConfigError, match="is not a setting") as refused:
        load({}, {"SYNCBRIDGE_SEALING_READERS": "hall"}, path)
    assert "configuration file" in refused.value.hint


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("{devices: x, grop: y}", "[2].grop from file {path}:5 is not allowed: 'grop'", "group"),
        ("{devices: x+, group: y}", "[2].devices from file {path}:5 is not allowed: no dev", ""),
        ("{devices: x}", "[2] from file {path}:5 is not allowed: it has no group", ""),
        ("{devices: [x], group: y}", "[2].devices in file {path}:5 is not a single", "a list"),
        ("{devices: x, devices: y}", "[2].devices is set twice in {path}: in lines 5", "remove"),
        ("hall", "[2] in {path}:5 is not a mapping", "a list"),
    ],
)
def test_what_is_wrong_with_a_group_is_told_with_its_line(
    tmp_path: Path, entry: str, message: str, hint: str
) -> None:
    """The entry is named by its place in the list, from 1."""
    path = tmp_path / "bridge.yaml"
    path.write_text(f"sealing:\n  readers:\n    - devices: a\n      group: hall\n    - {entry}\n")
    with pytest.raises(ConfigError) as refused:
        load({}, {}, path)
    assert refused.value.message.startswith("sealing.readers" + message.format(path=path))
    assert hint in refused.value.hint
    path.write_text("sealing:\n  readers: {devices: a, group: hall}\n")
    with pytest.raises(ConfigError, match="is not a list"):
        load({}, {}, path)


def test_the_key_may_not_stand_in_the_configuration_file(tmp_path: Path) -> None:
    """Which gets copied."""
    path = tmp_path / "bridge.yaml"
    path.write_text(f"sealing:\n  wrapping_key: {DIGITS}\n")
    with pytest.raises(ConfigError, match=r"sealing\.wrapping_key may not be given"):
        load({}, {}, path)
