"""A real Mosquitto for a test: its own port, its own directory, ended by its own process id."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support.services import require_program

_START_TIMEOUT_S = 10.0
_LOOK_AGAIN_S = 0.002


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_passwords(file: Path, users: Mapping[str, str]) -> None:
    """Make a new password file of Mosquitto."""
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
    subprocess.run([require_program("mosquitto_passwd"), "-U", str(file)], check=True)


class Mosquitto:
    """One broker process on loopback.

    Args:
        directory: Where its configuration, log and persistence live.
        persistence: Write every change to disk, so that a SIGKILL loses nothing.
        users: Names and passwords; without them everybody may log in.
        acl: Lines of an access control list; without it everybody may do everything.
        extra: Further lines of mosquitto.conf.
        listeners: Further ones by name, each with its lines; `ports` says where they are.
    """

    def __init__(
        self,
        directory: Path,
        *,
        persistence: bool = False,
        users: Mapping[str, str] | None = None,
        acl: str = "",
        extra: str = "",
        listeners: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._program = require_program("mosquitto")
        self.host = "127.0.0.1"
        self.port = free_port()
        self.ports = {name: free_port() for name in listeners or {}}
        self._persistence = persistence
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._configuration = directory / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if users else 'true'}",
            "set_tcp_nodelay true",
            "max_queued_messages 1000000",
            "log_type error",
            "log_type warning",
            extra,
        ]
        for name, settings in (listeners or {}).items():
            lines += [f"listener {self.ports[name]} 127.0.0.1", *settings]
        if persistence:
            lines += [
                "persistence true",
                f"persistence_location {directory}/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        if users:
            passwords = directory / "passwords"
            write_passwords(passwords, users)
            lines.append(f"password_file {passwords}")
        if acl:
            acl_file = directory / "acl"
            acl_file.write_text(acl)
            lines.append(f"acl_file {acl_file}")
        self._configuration.write_text("\n".join(lines) + "\n")
        # Started by root, Mosquitto changes to the user named here and could not write to
        # a directory that belongs to root.
        with self._configuration.open("a") as file:
            file.write("user root\n")

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it has ended; None while it runs, or where it was ended from here."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Mosquitto:
        """Start it and wait until it accepts connections."""
        with (self._directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._configuration)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        for port in (self.port, *self.ports.values()):
            self._await_listener(port, deadline)
        return self

    def _await_listener(self, port: int, deadline: float) -> None:
        assert self._process is not None
        while True:
            try:
                socket.create_connection((self.host, port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = (self._directory / "mosquitto.log").read_text()
                    raise RuntimeError(f"mosquitto did not start: {log_text}") from None
                time.sleep(_LOOK_AGAIN_S)
            else:
                return

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order; idempotent."""
        self._end(signal.SIGTERM)

    def forget(self) -> None:
        """Delete what a stopped broker has persisted."""
        for file in self._directory.glob("*.db*"):
            file.unlink()

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(with_signal)
        self._process.wait(timeout=10)
        self._process = None

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._persistence:
            self.stop()
        else:
            # It looks for signals ten times a second, and has nothing to write down.
            self.kill()
