"""Who is measured: the bridge, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.fleet import PREFIX
from benchmarks.processes import ChildProcess, bridge_process
from bridge.store.base import StoreLimits

BRIDGE: Final = "bridge"
ECHO: Final = "echo"
GROUP_COMMIT: Final = "paho, group commit"
PER_MESSAGE: Final = "paho, commit per message"

CACHE_BYTES: Final = 256 * 1024 * 1024
"""Memory that the bridge may take for twins. It is the default; here it is said."""

_MODULES: Final = {
    ECHO: "benchmarks.echo_batched",
    GROUP_COMMIT: "benchmarks.bridge_group_commit",
    PER_MESSAGE: "benchmarks.bridge_per_message",
}


def has_twins(peer: str) -> bool:
    """Tell whether the states of a peer are twins with a version."""
    return peer != ECHO


def store_path(directory: Path) -> Path:
    """Return where the bridge that runs in a directory has its store."""
    return directory / "store.db"


def peer_process(
    peer: str,
    port: int,
    directory: Path,
    profile_to: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> ChildProcess:
    """Return a peer, not yet started; the bridge has its defaults.

    Args:
        peer: Its name.
        port: The broker's, on loopback.
        directory: Where it runs.
        profile_to: Run the bridge under the profiler, and write what that found here.
        settings: What of the bridge is not its default, as the environment has it.
    """
    if peer == BRIDGE:
        environment = {
            "SYNCBRIDGE_STORE_CACHE_BYTES": str(CACHE_BYTES),
            "SYNCBRIDGE_STORE_HISTORY_CHANGES": str(StoreLimits().history_changes),
            **(settings or {}),
        }
        return bridge_process(
            port, PREFIX, directory, environment=environment, profile_to=profile_to
        )
    module = [_MODULES[peer], "--port", str(port)]
    if peer != ECHO:
        module += ["--store", str(store_path(directory))]
    return ChildProcess(module, directory)
