"""Configuration: layers, origins, and errors that say what was meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge import config_reference
from bridge.config import SETTINGS, TABLES, BrokerConfig, Config, Setting, load
from bridge.config_settings import nearest
from bridge.core.limits import Limits
from bridge.errors import ConfigError
from bridge.store.base import StoreLimits

_DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
_SECRET = "correct-horse"  # noqa: S105  made up, and searched for in what is printed


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a bridge.yaml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _file(directory: Path, text: str) -> Path:
    path = directory / "bridge.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_has_to_be_configured() -> None:
    """Without any layer everything is a default, and the defaults are valid."""
    loaded = load({}, {})
    assert loaded.config == Config()
    assert set(loaded.origins.values()) == {"default"}
    assert list(loaded.origins) == [*SETTINGS, *TABLES]


def test_each_layer_beats_the_one_below(tmp_path: Path) -> None:
    """Flag over variable over file over default, each setting by itself."""
    path = _file(tmp_path, "limits:\n  depth: 1\n  keys: 1\n  key_bytes: 1\n")
    loaded = load(
        {"limits.depth": 3, "limits.keys": None},
        {"SYNCBRIDGE_LIMITS_DEPTH": "2", "SYNCBRIDGE_LIMITS_KEYS": "2"},
        path,
    )
    limits = loaded.config.limits
    assert (limits.depth, limits.keys, limits.key_bytes, limits.named_twins) == (3, 2, 1, 32)
    assert loaded.origins["limits.depth"] == "flag --limits-depth"
    assert loaded.origins["limits.keys"] == "environment SYNCBRIDGE_LIMITS_KEYS"
    assert loaded.origins["limits.key_bytes"] == f"file {path}:4"
    assert loaded.origins["limits.named_twins"] == "default"


def test_the_file_is_the_named_one_or_the_one_that_is_there(tmp_path: Path) -> None:
    """--config beats SYNCBRIDGE_CONFIG, which beats bridge.yaml in the working directory."""
    _file(tmp_path, "prefix: here")
    variable = tmp_path / "variable.yaml"
    variable.write_text("prefix: variable")
    flag = tmp_path / "flag.yaml"
    flag.write_text("prefix: flag")
    environment = {"SYNCBRIDGE_CONFIG": str(variable)}
    assert load({}, {}).config.prefix == "here"
    assert load({}, environment).config.prefix == "variable"
    assert load({}, environment, flag).config.prefix == "flag"


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A typing error in --config must not mean defaults."""
    with pytest.raises(ConfigError, match=r"missing\.yaml cannot be read: No such file"):
        load({}, {}, tmp_path / "missing.yaml")


def test_an_empty_variable_counts_as_not_set() -> None:
    """As container tools pass on variables that nobody has set."""
    assert load({}, {"SYNCBRIDGE_BROKER_URL": ""}).config.broker.url is None


@pytest.mark.parametrize("text", ["", "# nothing\n", "limits:\n", "broker:\n  url:\n"])
def test_a_file_may_leave_everything_out(tmp_path: Path, text: str) -> None:
    """Empty, all comments, an empty section, an empty optional value."""
    assert load({}, {}, _file(tmp_path, text)).config == Config()


def test_a_value_in_the_file_is_what_is_written(tmp_path: Path) -> None:
    """Not what YAML makes of it: 12:34 is a text, not the number 754."""
    path = _file(tmp_path, "broker: {client_id: 12:34}\nprefix: on\n")
    config = load({}, {}, path).config
    assert (config.broker.client_id, config.prefix) == ("12:34", "on")


def test_a_path_in_the_file_is_relative_to_the_file(tmp_path: Path) -> None:
    """And one in a variable to the working directory; ~ is the home directory."""
    inner = tmp_path / "etc"
    inner.mkdir()
    path = _file(inner, "store: {path: data/store.db}\nbroker: {password_file: ~/p, username: u}")
    config = load({}, {}, path).config
    assert config.store.path == inner / "data/store.db"
    assert config.broker.password_file == Path.home() / "p"
    variable = load({}, {"SYNCBRIDGE_STORE_PATH": "data/store.db"}).config
    assert variable.store.path == Path("data/store.db")


@pytest.mark.parametrize(
    ("text", "said", "meant"),
    [
        ("limits:\n  depht: 3", "limits.depht in {path}:2 is not a setting", "limits.depth"),
        ("depth: 3", "depth in {path}:1 is not a setting", "limits.depth"),
        ("limit:\n  depth: 3", "limit in {path}:1 is not a setting", "limits"),
        ("broker: {uri: x}", "broker.uri in {path}:1 is not a setting", "broker.url"),
        ("zzzzzz: 3", "zzzzzz in {path}:1 is not a setting", "syncbridge config"),
        ("? [1]\n: 2", "? in {path}:1 is not a setting", "syncbridge config"),
    ],
)
def test_an_unknown_setting_in_the_file_is_named_with_its_line(
    tmp_path: Path, text: str, said: str, meant: str
) -> None:
    """And the nearest known one is offered."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load({}, {}, path)
    assert refused.value.message == said.format(path=path)
    assert meant in refused.value.hint


def test_an_unknown_variable_is_named_with_the_nearest() -> None:
    """A typing error in a variable is not passed over in silence."""
    with pytest.raises(ConfigError, match="SYNCBRIDGE_LIMIT_DEPTH is not a setting") as refused:
        load({}, {"SYNCBRIDGE_LIMIT_DEPTH": "3"})
    assert "SYNCBRIDGE_LIMITS_DEPTH" in refused.value.hint


def test_an_unknown_flag_is_named() -> None:
    """The command line and the settings cannot drift apart unnoticed."""
    with pytest.raises(ConfigError, match=r"limits\.depht in the command line"):
        load({"limits.depht": 1}, {})


def test_variables_of_others_are_left_alone() -> None:
    """Other programs', and those that Kubernetes makes for a service named syncbridge."""
    environment = {
        "PATH": "/bin",
        "SYNCBRIDGE_SERVICE_HOST": "10.0.0.1",
        "SYNCBRIDGE_SERVICE_PORT_MQTT": "1883",
        "SYNCBRIDGE_PORT": "tcp://10.0.0.1:1883",
        "SYNCBRIDGE_PORT_1883_TCP_ADDR": "10.0.0.1",
        "SYNCBRIDGE_REQUIRE_SERVICES": "1",
    }
    assert load({}, environment).config == Config()


def test_a_setting_given_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    """YAML libraries would take the last one in silence."""
    path = _file(tmp_path, "limits:\n  depth: 3\n  depth: 4\n")
    with pytest.raises(ConfigError, match=r"limits\.depth is set twice in .*: in lines 2 and 3"):
        load({}, {}, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "the file in {path}:1 is not a mapping of settings"),
        ("limits: 3", "limits in {path}:1 is not a mapping of settings"),
        ("limits: {depth: [1]}", "limits.depth in file {path}:1 is not a single value"),
        ("a: b: c", "{path} is not YAML: line 1, column 5"),
        ("a: 1\n---\nb: 2", "{path} is not YAML: line 2"),
        ("[" * 100_000, "{path} is not YAML: it is nested too deeply"),
        ("#" * 1_100_000, "{path} is larger than"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With the line where that can be told."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(said.format(path=path))):
        load({}, {}, path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are no configuration."""
    path = tmp_path / "bridge.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not YAML"):
        load({}, {}, path)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("limits.depth", "65", "an integer from 1 to 64"),
        ("limits.depth", "deep", "an integer from 1 to 64"),
        ("limits.depth", "1.5", "an integer from 1 to 64"),
        ("broker.keepalive_s", "0", "an integer from 1 to 65535"),
        ("broker.connect_timeout_s", "nan", "a number from 0.1 to 300.0"),
        ("broker.session_expiry_s", "4294967295", "an integer from 60 to 4294967294"),
        ("broker.client_id", "x" * 129, "text of at most 128 characters"),
        ("broker.username", "a\0b", "text of at most 256 characters"),
        ("log.level", "loud", "one of debug, info, warning, error"),
        ("publish.encoding", "xml", "one of json, msgpack, both"),
        ("prefix", "a/#", "topic levels without + or #"),
        ("store.path", "~nobody-of-that-name/x", "in full"),
        ("store.indexes", "battery", "paths such as reported.battery"),
    ],
)
def test_a_wrong_value_is_named_with_its_source_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    """Field, value, source, allowed: enough to put it right without the manual."""
    variable = SETTINGS[name].variable
    with pytest.raises(ConfigError) as refused:
        load({}, {variable: value})
    assert refused.value.message.startswith(f"{name}: {value[:50]!r}"[:-1])
    assert f"from environment {variable} is not allowed" in refused.value.message
    assert refused.value.field == name
    assert refused.value.source == f"environment {variable}"
    assert allowed in refused.value.hint


def test_a_password_comes_from_the_environment_and_is_not_shown() -> None:
    """Neither in the object's text nor in what `syncbridge config` prints."""
    loaded = load({"broker.username": "u"}, {"SYNCBRIDGE_BROKER_PASSWORD": _SECRET})
    assert loaded.config.broker.read_password() == _SECRET
    assert _SECRET not in repr(loaded)
    assert loaded.value("broker.password") == "(not shown)"


def test_a_password_is_refused_on_the_command_line_and_in_the_file(tmp_path: Path) -> None:
    """Others can read both; the value is not repeated."""
    path = _file(tmp_path, f"broker: {{username: u, password: {_SECRET}}}")
    for flags, file in (({"broker.password": _SECRET}, None), ({}, path)):
        with pytest.raises(ConfigError, match="where others can read it") as refused:
            load(flags, {}, file)
        assert _SECRET not in str(refused.value)


@pytest.mark.parametrize("content", [_SECRET, f"{_SECRET}\n", f"{_SECRET}\r\n"])
def test_a_password_file_may_end_in_a_newline(tmp_path: Path, content: str) -> None:
    """Editors add one."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_bytes(content.encode())
    assert BrokerConfig(username="u", password_file=file).read_password() == _SECRET


def test_the_variable_is_stronger_than_the_password_file(tmp_path: Path) -> None:
    """As every variable is stronger than a file."""
    environment = {
        "SYNCBRIDGE_BROKER_USERNAME": "u",
        "SYNCBRIDGE_BROKER_PASSWORD": _SECRET,
        "SYNCBRIDGE_BROKER_PASSWORD_FILE": str(tmp_path / "missing"),
    }
    assert load({}, environment).config.broker.read_password() == _SECRET


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff", b"x" * 65_536])
def test_a_bad_password_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty, not text, or longer than MQTT can say."""
    file = tmp_path / "password"
    if content is not None:
        file.touch(mode=0o600)
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(str(file))):
        BrokerConfig(username="u", password_file=file).read_password()


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602])
def test_a_password_file_that_everybody_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that mends it; a group may read a mounted secret."""
    file = tmp_path / "password"
    file.write_text(_SECRET)
    file.chmod(mode)
    config = BrokerConfig(username="u", password_file=file)

    with pytest.raises(ConfigError, match=f"{mode:04o}") as refused:
        config.read_password()

    assert refused.value.field == "broker.password_file"
    assert f"chmod 640 {file}" in refused.value.hint
    file.chmod(0o640)
    assert config.read_password() == _SECRET


def test_a_password_without_a_user_is_refused() -> None:
    """MQTT 3.1.1 section 3.1.2.9 forbids it."""
    with pytest.raises(ConfigError, match=r"set broker\.username too"):
        load({}, {"SYNCBRIDGE_BROKER_PASSWORD": _SECRET})


def test_the_configuration_cannot_be_changed() -> None:
    """It is frozen, sections too."""
    config = Config()
    with pytest.raises(ValidationError):
        config.limits.depth = 3  # type: ignore[misc]


def test_the_limits_of_core_and_store_have_their_defaults() -> None:
    """Declared once: the core's and the store's own defaults are the configuration's."""
    assert Config().limits.to_core() == Limits()
    assert Config().store.to_limits() == StoreLimits()


def test_limits_are_handed_on_in_their_units() -> None:
    """Seconds and days become microseconds."""
    config = load({"limits.tombstone_ttl_s": 60, "store.history_days": 2}, {}).config
    assert config.limits.to_core().tombstone_ttl_us == 60_000_000
    assert config.store.to_limits().history_age_us == 172_800_000_000


@pytest.mark.parametrize(
    "setting", [*SETTINGS.values(), *TABLES.values()], ids=[*SETTINGS, *TABLES]
)
def test_every_setting_is_described_and_its_default_allowed(setting: Setting) -> None:
    """In a whole sentence, and with what is allowed in words."""
    assert setting.description.endswith(".")
    assert setting.allowed
    assert "None" not in setting.allowed


def test_variables_and_flags_are_unambiguous() -> None:
    """Dots and underscores both become one sign; no two settings may meet there."""
    assert len({s.variable for s in SETTINGS.values()}) == len(SETTINGS)
    assert len({s.flag for s in SETTINGS.values()}) == len(SETTINGS)


def test_the_tables_in_the_documentation_are_up_to_date() -> None:
    """Else run `python -m bridge.config_reference docs/configuration.md`."""
    document = _DOCUMENT.read_text(encoding="utf-8")
    assert config_reference.updated(document) == document
    for name in (*SETTINGS, *TABLES):
        assert f"| `{name}` |" in document


def test_a_document_without_markers_is_refused() -> None:
    """Rather than overwritten."""
    with pytest.raises(ValueError, match="are expected"):
        config_reference.updated("# Configuration")


def test_the_example_in_the_documentation_loads(tmp_path: Path) -> None:
    """What people copy works."""
    examples = re.findall(r"```yaml\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert examples
    for example in examples:
        load({}, {}, _file(tmp_path, example))


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [("limits.dept", "limits.depth"), ("depth", "limits.depth"), ("qqqqqqqqq", None)],
)
def test_the_nearest_name_is_found_by_its_last_level_too(unknown: str, meant: str | None) -> None:
    """A setting in the wrong section is the commonest error after the typing error."""
    assert nearest(unknown, SETTINGS) == meant
