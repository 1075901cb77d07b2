"""The embedded broker: amqtt in a child process, for trying things out.

A process of its own, because amqtt would share the bridge's interpreter with it and take half of
its speed, and because what goes wrong in it must not end the bridge. What amqtt lacks is said in
`docs/operations.md`; no promise of the bridge is made on it.

Starting takes about 0.1 s on an ordinary machine, nearly all of it the interpreter and its imports
(amqtt itself, asyncio and websockets in equal parts).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType

import yaml

from bridge.config_models import EmbeddedConfig
from bridge.errors import BrokerError
from bridge.logs import RateLimited, get_logger

USERNAME = "syncbridge"
"""The bridge logs in as this: amqtt keeps messages for absent clients only if they name a user."""

START_TIMEOUT_S = 30.0
"""How long the broker may take until it answers: far more than it takes on a busy Raspberry Pi."""

STOP_TIMEOUT_S = 5.0
"""How long it may take to end before it is killed."""

RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0
STABLE_AFTER_S = 60.0
"""After a run this long, waiting begins anew at the least: it was not the end of the one before."""

LINE_BYTES = 8192
"""Longest line of its output that is read as one."""

LINES_KEPT = 20
"""Last lines kept, to show why it did not start."""

_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104

# A CONNECT of MQTT 3.1.1 (section 3.1): a clean session, keepalive 10 s, client id "probe"; and
# the DISCONNECT (section 3.14) after it.
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05probe"
_CONNACK_TYPE = 0x20
_CONNACK_BYTES = 4
_DISCONNECT = b"\xe0\x00"

_log = get_logger("broker")


class EmbeddedBroker:
    """One broker on this machine, restarted when it dies and gone when this process goes.

    Args:
        config: Port and configuration file.
        data_directory: The broker's working directory, made where it is not there. Relative paths
            in a configuration of one's own are relative to it.

    Attributes:
        host: Where clients reach it.
        port: The TCP port.
        username: What the bridge should log in as, without a password.

    Raises:
        BrokerError: The configuration file cannot be read or has no default listener.
    """

    def __init__(self, config: EmbeddedConfig, data_directory: Path) -> None:
        self._file = (config.configuration or shipped_configuration()).resolve()
        bind_host = _bind_host(self._file)
        self._bind = f"{bind_host}:{config.port}"
        self.host = _WILDCARDS.get(bind_host, bind_host.strip("[]"))
        self.port = config.port
        self.username = USERNAME
        self._directory = data_directory
        self._child: _Child | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running broker; None while there is none."""
        return None if self._child is None else self._child.pid

    async def start(self) -> None:
        """Start the broker and wait until it answers an MQTT CONNECT.

        Raises:
            BrokerError: The port is in use or may not be used, or the broker did not start.
        """
        if self._supervisor is not None:
            return
        await self._check_port()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrokerError(
                f"the directory {self._directory} cannot be made: {error.strerror}",
                hint="choose another place with the setting store.path",
            ) from error
        await self._launch()
        self._supervisor = asyncio.create_task(self._keep_running(), name="embedded-broker")
        _log.info(
            "embedded broker started",
            address=f"{self.host}:{self.port}",
            note="for trying things out: it loses messages where Mosquitto or EMQX would not, and "
            "serves this machine only; docs/operations.md says when to move to one of them",
        )

    async def stop(self) -> None:
        """End the broker; idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        child, self._child = self._child, None
        if child is not None:
            await child.end()

    async def __aenter__(self) -> EmbeddedBroker:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _launch(self) -> None:
        child = await _Child.start(self._file, self._bind, self._directory)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await child.ready()
                await _probe(self.host, self.port)
        except TimeoutError:
            await child.end()
            raise BrokerError(
                f"the embedded broker did not answer within {START_TIMEOUT_S:g} s",
                hint="see its output with --log-level debug",
                recoverable=True,
            ) from None
        except BaseException:
            await child.end()
            raise
        self._child = child

    async def _keep_running(self) -> None:
        delays = backoff()
        while True:
            assert self._child is not None  # noqa: S101  set by _launch
            started_at = time.monotonic()
            status = await self._child.wait()
            self._child = None
            if time.monotonic() - started_at > STABLE_AFTER_S:
                delays = backoff()
            _log.warning("embedded broker ended", exit_status=status)
            await self._restart(delays)

    async def _restart(self, delays: Iterator[float]) -> None:
        while self._child is None:
            await asyncio.sleep(next(delays))
            try:
                await self._launch()
            except BrokerError as error:
                _log.warning("embedded broker not restarted", error=str(error))
        _log.info("embedded broker restarted", address=f"{self.host}:{self.port}")

    async def _check_port(self) -> None:
        """Find out before starting whether the port can be had, for a clear message."""
        hint = (
            f"choose another port with --embedded-port (embedded.port), or use the broker that is "
            f"there with --broker mqtt://{self.host}:{self.port}"
        )
        if await _is_answered(self.host, self.port):
            raise BrokerError(f"port {self.port} of {self.host} is in use", hint=hint)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the broker does: connections that have just ended are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                in_use = error.errno == errno.EADDRINUSE
                why = "is in use" if in_use else f"cannot be used: {error.strerror}"
                raise BrokerError(f"port {self.port} of {self.host} {why}", hint=hint) from error


class _Child:
    """The broker's process and what it writes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101  both are pipes
        assert process.stderr is not None  # noqa: S101
        self._process = process
        self._stdout = process.stdout
        self._last_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._reader = asyncio.create_task(
            self._read(process.stderr), name="embedded-broker-output"
        )

    @classmethod
    async def start(cls, file: Path, bind: str, directory: Path) -> _Child:
        # -P: never from the working directory. -W: deprecations in amqtt are not for its users.
        command = [sys.executable, "-P", "-W", "ignore", "-m", "bridge.broker_process"]
        process = await asyncio.create_subprocess_exec(
            *command,
            str(file),
            bind,
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=directory,
            env=_environment(),
            # Ctrl-C in the terminal is for the bridge, which disconnects before the broker ends.
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it says that it listens.

        Raises:
            BrokerError: It ended instead.
        """
        if await self._stdout.readline():
            return
        status = await self.wait()
        reason = self._last_lines[-1] if self._last_lines else f"exit status {status}"
        raise BrokerError(
            f"the embedded broker did not start: {reason}",
            hint="all of its output is logged at --log-level debug",
        )

    async def wait(self) -> int:
        """Wait for its end and return the exit status, negative for a signal."""
        status = await self._process.wait()
        await self._reader
        return status

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reader

    async def _read(self, stream: asyncio.StreamReader) -> None:
        # Clients can provoke these lines.
        log = RateLimited(_log, time.monotonic, lines_per_key=100)
        async for line in _lines(stream):
            self._last_lines.append(line)
            log.debug("output", "amqtt", line=line)


def backoff() -> Iterator[float]:
    """Yield the seconds to wait before each restart in a row."""
    delay_s = RESTART_MIN_S
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, RESTART_MAX_S)


def shipped_configuration() -> Path:
    """Return `broker.yaml`: in the package where installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "broker.yaml"
    return installed if installed.is_file() else package.parent / "broker.yaml"


def _bind_host(file: Path) -> str:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        bind = str(content["listeners"]["default"].get("bind") or "127.0.0.1")
    except OSError as error:
        raise BrokerError(
            f"the embedded broker's configuration {file} cannot be read: {error.strerror}",
            hint="see the setting embedded.configuration",
        ) from error
    except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BrokerError(
            f"the embedded broker's configuration {file} has no listeners: default: section",
            hint="copy the broker.yaml that comes with syncbridge and change that",
        ) from error
    if bind.isdigit():
        return ""  # a port on all interfaces
    return bind.rpartition(":")[0] if ":" in bind else bind


def _environment() -> dict[str, str]:
    """Return our environment, with the module path that this process has."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


async def _is_answered(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _probe(host: str, port: int) -> None:
    """Connect as an MQTT client does and wait for the answer, whatever it is.

    Raises:
        BrokerError: There was none.
    """
    try:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(_CONNECT)
            answer = await reader.readexactly(_CONNACK_BYTES)
            writer.write(_DISCONNECT)
            await writer.drain()
        finally:
            writer.close()
    except (OSError, asyncio.IncompleteReadError) as error:
        raise BrokerError(
            f"the embedded broker on {host}:{port} does not answer: {error}", recoverable=True
        ) from error
    if answer[0] != _CONNACK_TYPE:
        raise BrokerError(f"what answers on {host}:{port} does not speak MQTT")


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield lines of whatever length, cut into pieces where they are too long."""
    rest = b""
    while chunk := await stream.read(LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) >= LINE_BYTES:
            lines.append(rest)
            rest = b""
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
