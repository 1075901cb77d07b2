"""The program as a process of its own, on a terminal or in a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
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

    Args:
        arguments: Without the program's name.
        directory: Where it runs.
        terminal: Its output is a terminal of 40 lines and 120 columns, not a pipe.

    Attributes:
        text: What was read of its output so far.
    """

    def __init__(self, *arguments: str, directory: Path, terminal: bool = False) -> None:
        self._terminal = terminal
        self.text = ""
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

    def read_until(self, pattern: str) -> str:
        """Wait until the output has something, and return all output so far."""
        while re.search(pattern, self.text) is None:
            piece = self._read()
            assert piece, f"ended without {pattern!r}: {self.text!r} {self.errors()!r}"
            self.text += piece
        return self.text

    def read_to_end(self) -> str:
        """Wait until the output ends, and return all of it."""
        while piece := self._read():
            self.text += piece
        return self.text

    def read_what_is_there(self, wait_s: float = 0.1) -> None:
        """Read what has come, or comes soon."""
        while select.select([self._read_end], [], [], wait_s)[0] and (piece := self._read()):
            self.text += piece

    def _read(self) -> str:
        """Wait for more, and return it; empty at the end."""
        ready, _, _ = select.select([self._read_end], [], [], WAIT_S)
        assert ready, f"nothing came after {self.text!r} {self.errors()!r}"
        try:
            return os.read(self._read_end, 65536).decode(errors="replace")
        except OSError:
            # A terminal whose other side has gone.
            return ""

    def close_reader(self) -> None:
        """Read no more, as `head` does when it has enough."""
        os.close(self._read_end)
        self._read_end = -1

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Wait for its end, and return the status."""
        return self._process.wait(timeout=WAIT_S)

    def errors(self) -> str:
        """Return its standard error so far."""
        self._errors.flush()
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
        if self._read_end >= 0:
            os.close(self._read_end)
        self._errors.close()
