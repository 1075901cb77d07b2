"""Logs: where they go, what they look like, what devices cannot do to them."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from bridge.config import LogConfig
from bridge.errors import SyncbridgeError
from bridge.log_traces import place_of, trace_text
from bridge.logs import (
    TRACE_CHARACTERS,
    VALUE_CHARACTERS,
    VALUE_ITEMS,
    RateLimited,
    configure,
    get_logger,
    printable,
)

_ROOT = Path(__file__).resolve().parent.parent

_PROGRAM = """
import os
from bridge.config import LogConfig
from bridge.logs import configure, get_logger
configure(LogConfig())
get_logger("link").info("connected", port=1883)
"""


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Logs are the process's; give them back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    settings = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**settings)


class _Clock:
    """Time that only the test moves, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _caught(
    message: str, kind: Callable[[str], Exception] = SyncbridgeError, cause: Exception | None = None
) -> Exception:
    """Return an error that was raised beside a variable which holds a secret."""
    password = "-".join(["correct", "horse"])
    try:
        raise kind(message) from cause  # noqa: TRY301  an inner function is what this is
    except Exception as error:  # noqa: BLE001
        assert password
        return error


def _json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_in_a_pipe_a_line_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With level, time, component and the facts under their own names, on standard error only."""
    configure(LogConfig())
    get_logger("link").info("connected", host="127.0.0.1", port=1883)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = _json_lines(captured.err)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "connected",
        "level": "info",
        "component": "link",
        "host": "127.0.0.1",
        "port": 1883,
    }


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_on_a_terminal_a_line_is_coloured_text(
    environment: dict[str, str], *, coloured: bool
) -> None:
    """Unless NO_COLOR or the terminal says that it wants none."""
    terminal, our_side = pty.openpty()
    base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        stderr=our_side,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env=base | {"TERM": "xterm"} | environment,
        check=True,
    )
    os.close(our_side)
    line = os.read(terminal, 4096).decode()
    os.close(terminal)
    assert "connected" in line
    assert "1883" in line
    assert ("\x1b[" in line) is coloured
    assert line.count("\n") == 1


def test_before_it_is_configured_nothing_goes_to_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """There, programs read the answers of commands."""
    get_logger("link").info("early")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "early" in captured.err


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Also of loggers that were made before."""
    log = get_logger("link")
    configure(LogConfig(level="warning", format="json"))
    log.info("not this")
    log.warning("this")
    assert [line["event"] for line in _json_lines(capsys.readouterr().err)] == ["this"]


def test_lines_of_libraries_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """From warnings on, whatever is wrong with their format."""
    # pytest's own handlers raise where a format is wrong.
    logging.getLogger().handlers.clear()
    configure(LogConfig())
    configure(LogConfig())
    library = logging.getLogger("some.library")
    library.info("not this")
    library.warning("slow: %d s", 3)
    library.critical("two %s %s", "one")
    lines = _json_lines(capsys.readouterr().err)
    assert [(line["component"], line["level"], line["event"]) for line in lines] == [
        ("some.library", "warning", "slow: 3 s"),
        ("some.library", "error", "two %s %s"),
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Küche 厨房 🌡", "Küche 厨房 🌡"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x9b0m\x7f", r"\x1b[31mred\x9b0m\x7f"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("a\u2028b\u200b", r"a\u2028b\u200b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\0", r"\x00"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    """Control and bidirectional characters, line ends, surrogates; other languages stay."""
    assert printable(text) == shown


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_device_cannot_forge_a_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Not by its values, nor nested ones, keys, bytes, the event, or the text of an exception."""
    configure(LogConfig.model_validate({"format": style}))
    evil = "x\n2026-01-01 [error] forged\u202e\x1b[2J"
    log = get_logger("service")
    log.warning("refused", device=evil, nested={evil: [evil, {"a": evil}]}, raw=evil.encode())
    log.warning(evil, device="\x1b[2J")
    log.error("failed", exc_info=_caught(evil))
    output = capsys.readouterr().err
    assert not any(line.startswith("2026-01-01") for line in output.splitlines())
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_what_a_line_holds_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    """Text, lists, depth and tracebacks."""
    configure(LogConfig(format="json"))
    deep: list[object] = []
    for _ in range(1000):
        deep = [deep]
    log = get_logger("service")
    log.info("big", text="x" * 100_000, many=list(range(1000)), deep=deep)
    log.error("failed", exc_info=_caught("y" * 100_000))
    big, failed = _json_lines(capsys.readouterr().err)
    assert big["text"] == "x" * VALUE_CHARACTERS + "…"
    assert big["many"] == list(range(VALUE_ITEMS))
    assert big["deep"] == [[[["…"]]]]
    assert len(str(failed["exception"])) <= TRACE_CHARACTERS + 2


def test_a_traceback_does_not_show_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """They may be passwords."""
    configure(LogConfig(format="text"))
    get_logger("link").error("failed", exc_info=_caught(""))
    output = capsys.readouterr().err
    assert "in _caught" in output
    assert "correct-horse" not in output


@pytest.mark.parametrize("style", ["text", "json"])
def test_the_text_of_an_unforeseen_exception_is_not_shown(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may quote a payload; where it was raised, and of what kind it is, is shown."""
    configure(LogConfig.model_validate({"format": style}))
    root = _caught("the disk is full", OSError)
    cause = _caught("payload-1", KeyError, root)
    error = _caught("payload-2", ValueError, cause)
    get_logger("service").error("failed", exc_info=error)
    logging.getLogger("library").error("it failed", exc_info=error)
    output = capsys.readouterr().err
    assert "payload-" not in output
    for shown in ("KeyError", "ValueError", "in _caught", "OSError: the disk is full", "library"):
        assert shown in output, shown


def test_a_chain_of_causes_that_never_ends_is_cut() -> None:
    """However it was tied."""
    one, other = ValueError("a"), ValueError("b")
    one.__cause__, other.__cause__ = other, one
    assert trace_text(one).count("Traceback") == 2
    assert place_of(one) == "ValueError"
    assert place_of(_caught("")).startswith("SyncbridgeError in test_logs.py:")


def test_variables_are_not_shown_before_anything_is_configured() -> None:
    """As in a program of others that runs a bridge."""
    program = """
from bridge.logs import get_logger
def fail(secret):
    raise ValueError(secret)
try:
    fail("-".join(["correct", "horse"]))
except ValueError as error:
    get_logger("service").error("failed", exc_info=error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert "ValueError" in done.stderr
    assert "correct-horse" not in done.stderr


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe at standard error, or none at all."""
    reading, writing = os.pipe()
    os.close(reading)
    configure(LogConfig())
    broken = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stderr", broken)
    get_logger("link").info("into the void")
    monkeypatch.setattr(sys, "stderr", None)
    get_logger("link").info("nowhere")
    with pytest.raises(BrokenPipeError):
        broken.close()


@pytest.fixture
def clock() -> _Clock:
    """Time that only the test moves."""
    return _Clock()


@pytest.fixture
def limited(clock: _Clock) -> RateLimited:
    """Two lines per key and four in all, every ten seconds; three keys are told apart."""
    configure(LogConfig(level="debug", format="json"))
    return RateLimited(
        get_logger("service"), clock, lines_per_key=2, lines_in_all=4, interval_s=10, keys=3
    )


def _shown(capsys: pytest.CaptureFixture[str]) -> list[tuple[object, ...]]:
    lines = _json_lines(capsys.readouterr().err)
    return [(line["event"], line["key"], line.get("lines")) for line in lines]


def test_lines_beyond_the_allowance_are_counted(
    limited: RateLimited, clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the count is written once the interval has ended, before the next line."""
    for _ in range(5):
        limited.warning("refused", "lamp-1")
    assert _shown(capsys) == [("refused", "lamp-1", None)] * 2
    clock.now_s += 10
    limited.warning("refused", "lamp-1")
    assert _shown(capsys) == [("lines left out", "lamp-1", 3), ("refused", "lamp-1", None)]


def test_keys_do_not_take_each_others_allowance(
    limited: RateLimited, capsys: pytest.CaptureFixture[str]
) -> None:
    """One noisy device does not hide another."""
    for _ in range(9):
        limited.warning("refused", "noisy")
    limited.warning("refused", "quiet")
    assert _shown(capsys)[-1] == ("refused", "quiet", None)


def test_the_count_is_written_without_a_further_line_of_that_key(
    limited: RateLimited, clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another key's line brings it out, and so does a flush."""
    for _ in range(3):
        limited.info("refused", "lamp-1")
    clock.now_s += 10
    limited.info("refused", "lamp-2")
    assert ("lines left out", "lamp-1", 1) in _shown(capsys)
    for _ in range(3):
        limited.info("refused", "lamp-2")
    limited.flush()
    assert not any(event == "lines left out" for event, *_ in _shown(capsys))
    limited.flush(everything=True)
    assert _shown(capsys) == [("lines left out", "lamp-2", 2)]


def test_all_keys_together_are_bounded(
    limited: RateLimited, clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may publish can invent device ids."""
    for number in range(1000):
        limited.warning("refused", f"invented-{number}")
    assert len(_shown(capsys)) == 4
    clock.now_s += 10
    limited.flush()
    left_out = [lines for event, _, lines in _shown(capsys) if event == "lines left out"]
    assert sum(int(str(lines)) for lines in left_out) == 996


def test_keys_told_apart_are_bounded(
    limited: RateLimited, clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beyond them, all others share one allowance, until an interval ends."""
    for number in range(1000):
        limited.warning("refused", f"invented-{number}")
    assert len(limited._windows) == 4
    clock.now_s += 10
    limited.flush()
    assert len(limited._windows) == 0
    capsys.readouterr()


def test_a_count_of_debug_lines_is_a_debug_line(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who does not see the lines is not told of those left out either."""
    configure(LogConfig(level="info", format="json"))
    limited = RateLimited(get_logger("broker"), clock, lines_per_key=1)
    for _ in range(3):
        limited.debug("output", "amqtt")
    limited.flush(everything=True)
    assert _shown(capsys) == []
