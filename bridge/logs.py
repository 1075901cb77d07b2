"""Logs: text on a terminal, JSON lines in a pipe, always on standard error.

What a device can put into a line cannot forge another line, colour the terminal or turn the text
around, because everything that is not printable is escaped. Payloads, keys and tokens are not
logged: not as facts, and not by the texts of exceptions either. What a device can make us write
again and again goes through `RateLimited`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from bridge.config_models import LogConfig
from bridge.log_traces import trace_text

VALUE_CHARACTERS = 2000
"""Longest text in a line: enough for any message of ours, too short to fill a disk with."""

TRACE_CHARACTERS = 20_000
"""Most that is shown of a traceback, from its end, where the cause stands."""

VALUE_ITEMS = 50
"""Most entries shown of one list or mapping."""

VALUE_DEPTH = 4
"""Levels shown of nested values."""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(config: LogConfig, environment: Mapping[str, str] = os.environ) -> None:
    """Set up the logs of this process; the last call counts.

    Lines of libraries that use the standard `logging` come out the same way, from warnings on.

    Args:
        config: Level and format.
        environment: Where NO_COLOR (see no-color.org) and TERM are looked up.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    text = config.format == "text" or (config.format == "auto" and terminal)
    colours = terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    level = _LEVELS[config.level]
    structlog.configure(
        processors=_text_processors(colours=colours) if text else _json_processors(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Loggers are made when modules are imported, before this is called.
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _ForeignHandler)]:
        root.removeHandler(handler)
    root.addHandler(_ForeignHandler())
    root.setLevel(max(level, logging.WARNING))


def get_logger(component: str) -> FilteringBoundLogger:
    """Return the logger of one part of the program, named as operators would name it."""
    # With a logger of our own, nothing goes to standard output even before `configure`.
    logger: FilteringBoundLogger = structlog.wrap_logger(_StandardError(), component=component)
    return logger


def printable(text: str) -> str:
    r"""Escape what is not printable: control and bidirectional characters, line ends, surrogates.

    They become `\n`, `\x1b`, `\u202e` as in Python; printable text of any language stays.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _StandardError:
    """Writes finished lines to whatever `sys.stderr` is at that moment."""

    def msg(self, line: str) -> None:
        # A log that nobody can read any more must not stop the bridge.
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()

    log = debug = info = warning = error = critical = exception = msg


class _ForeignHandler(logging.Handler):
    """Hands the lines of the standard `logging` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # A library's mistake in its format; the line is worth more than the format.
            message = str(record.msg)
        level = min(record.levelno, logging.ERROR)
        get_logger(record.name).log(level, message, exc_info=record.exc_info)


def _text_processors(*, colours: bool) -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        _format_trace,
        _escape,
        structlog.dev.ConsoleRenderer(
            colors=colours,
            pad_event_to=0,
            sort_keys=False,
            # Not the decorated ones, which print the values of all variables, passwords too.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _json_processors() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _format_trace,
        _escape,
        structlog.processors.JSONRenderer(),
    ]


def _format_trace(_logger: object, _method: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = trace_text(error)
    return event


def _escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    trace = event.pop("exception", None)
    escaped: EventDict = {name: _bounded(value, VALUE_DEPTH) for name, value in event.items()}
    if trace is not None:
        # Indented, so that the text of an exception cannot pass for a line of the log.
        lines = str(trace)[-TRACE_CHARACTERS:].splitlines()
        escaped["exception"] = "\n".join("  " + printable(line) for line in lines)
    return escaped


def _bounded(value: object, depth: int) -> object:
    """Return a value whose text is printable and of bounded length."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _bounded_container(value, depth - 1) if depth > 0 else "…"
    return _bounded_text(value if isinstance(value, str) else str(value))


def _bounded_container(
    value: Mapping[object, object] | Iterable[object], depth: int
) -> dict[str, object] | list[object]:
    if isinstance(value, Mapping):
        items = islice(value.items(), VALUE_ITEMS)
        return {_bounded_text(str(key)): _bounded(item, depth) for key, item in items}
    return [_bounded(item, depth) for item in islice(value, VALUE_ITEMS)]


def _bounded_text(text: str) -> str:
    if len(text) > VALUE_CHARACTERS:
        text = text[:VALUE_CHARACTERS] + "…"
    return printable(text)


@dataclass(slots=True)
class _Window:
    """What one key has written in its interval."""

    ends_at: float
    lines: int = 0
    left_out: int = 0
    level: int = logging.DEBUG

    def leave_out(self, level: int) -> None:
        self.left_out += 1
        self.level = max(self.level, level)


class RateLimited:
    """A logger for lines that a device can provoke.

    Each key may write some lines in an interval; what is more is counted, and the count is written
    in one line when the interval has ended and anything else is logged here, or at `flush`. All
    keys together are bounded too, because whoever may publish can invent keys.

    Args:
        log: Where the lines go.
        clock: Monotonic time in seconds, as `time.monotonic`.
        lines_per_key: Lines of one key in an interval.
        lines_in_all: Lines of all keys in an interval.
        interval_s: Length of the interval, which begins with a key's first line.
        keys: Keys told apart; further ones share one allowance until an interval ends.
    """

    _OTHERS = "(others)"

    def __init__(
        self,
        log: FilteringBoundLogger,
        clock: Callable[[], float],
        *,
        lines_per_key: int = 5,
        lines_in_all: int = 200,
        interval_s: float = 60.0,
        keys: int = 1000,
    ) -> None:
        self._log = log
        self._clock = clock
        self._lines_per_key = lines_per_key
        self._lines_in_all = lines_in_all
        self._interval_s = interval_s
        self._keys = keys
        # In the order in which the intervals end, because all are of the same length.
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._all = _Window(ends_at=clock() + interval_s)

    def debug(self, event: str, key: str, **facts: object) -> None:
        """Log a line at level debug, if `key` may still write one."""
        self._write(logging.DEBUG, event, key, facts)

    def info(self, event: str, key: str, **facts: object) -> None:
        """Log a line at level info, if `key` may still write one."""
        self._write(logging.INFO, event, key, facts)

    def warning(self, event: str, key: str, **facts: object) -> None:
        """Log a line at level warning, if `key` may still write one."""
        self._write(logging.WARNING, event, key, facts)

    def flush(self, *, everything: bool = False) -> None:
        """Write how many lines were left out, for intervals that have ended or for all."""
        now = self._clock()
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends_at > now and not everything:
                break
            del self._windows[key]
            self._report(key, window)
        if self._all.ends_at <= now or everything:
            self._report(self._OTHERS, self._all)
            self._all = _Window(ends_at=now + self._interval_s)

    def _write(self, level: int, event: str, key: str, facts: Mapping[str, object]) -> None:
        self.flush()
        window = self._window(key)
        if window.lines >= self._lines_per_key:
            window.leave_out(level)
        elif self._all.lines >= self._lines_in_all:
            self._all.leave_out(level)
        else:
            window.lines += 1
            self._all.lines += 1
            self._log.log(level, event, key=key, **facts)

    def _window(self, key: str) -> _Window:
        if key not in self._windows and len(self._windows) >= self._keys:
            key = self._OTHERS
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(ends_at=self._clock() + self._interval_s)
        return window

    def _report(self, key: str, window: _Window) -> None:
        if window.left_out:
            self._log.log(window.level, "lines left out", key=key, lines=window.left_out)


if not structlog.is_configured():
    # Until `configure` is called, and where it never is: structlog's own tracebacks print the
    # values of all variables, payloads and passwords among them.
    structlog.configure(processors=_text_processors(colours=False), cache_logger_on_first_use=False)
