"""The program as a process of its own, on a terminal or in a pipe."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]

WAIT_S = 30.0
"""Far longer than anything takes, also on a machine that is busy with something else."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(*, without_settings: bool = True) -> Mapping[str, str]:
    """Return the environment in which the package is found, and usually no setting."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not (without_settings and name.startswith("SYNCBRIDGE_"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def without_escapes(text: str) -> str:
    """Return what a terminal would show, without colours and movements of the cursor."""
    return _ESCAPE.sub("", text).replace("\r\n", "\n")


class Program:
    """A running `syncbridge`, ended at the latest when it is left.

    Its output is read all the time: a program that cannot write stands still.

    Args:
        arguments: Without the program's name.
        directory: Where it runs.
        terminal: Its output is a terminal of 40 lines and 120 columns, not a pipe.
    """

    def __init__(self, *arguments: str, directory: Path, terminal: bool = False) -> None:
        self._changed = threading.Condition()
        self._text = ""
        self._ended = False
        self._closing = False
        self._read_end, write_end = pty.openpty() if terminal else os.pipe()
        variables = {**environment(), "TERM": "xterm-256color", "LINES": "40", "COLUMNS": "120"}
        variables.pop("NO_COLOR", None)
        self._errors = (directory / "stderr.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge", *arguments],
            cwd=directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=self._errors,
        )
        os.close(write_end)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What it has written so far."""
        with self._changed:
            return self._text

    def read_until(self, pattern: str, wait_s: float = WAIT_S) -> str:
        """Wait until the output has something, and return all output so far."""
        found = re.compile(pattern)
        with self._changed:
            self._changed.wait_for(lambda: self._ended or found.search(self._text), wait_s)
            text = self._text
        assert found.search(text), f"{pattern!r} is not in {text!r}; {self.errors()!r}"
        return text

    def has_written(self, pattern: str, wait_s: float) -> bool:
        """Tell whether the output has something, or gets it within that time."""
        found = re.compile(pattern)
        with self._changed:
            self._changed.wait_for(lambda: self._ended or found.search(self._text), wait_s)
            return found.search(self._text) is not None

    def read_to_end(self) -> str:
        """Wait until the output ends, and return all of it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, 2 * WAIT_S), self._text
            return self._text

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while not self._closing:
            if not select.select([self._read_end], [], [], 0.05)[0]:
                continue
            try:
                piece = os.read(self._read_end, 65536)
            except OSError:
                # A terminal whose other side has gone.
                piece = b""
            if not piece:
                break
            with self._changed:
                self._text += decoder.decode(piece)
                self._changed.notify_all()
        os.close(self._read_end)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close_reader(self) -> None:
        """Read no more, as `head` does when it has enough."""
        self._closing = True
        self._reader.join(WAIT_S)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send(signal.SIGINT)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end, and return the status."""
        return self._process.wait(timeout=WAIT_S)

    def errors(self) -> str:
        """Return its standard error so far."""
        return Path(self._errors.name).read_text()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=WAIT_S)
        self.close_reader()
        self._errors.close()
