"""What the two bridges on paho-mqtt and SQLite share: the table, the topics, the client.

They are what one would write in an afternoon, and well: a merge patch (RFC 7396) into a row, a
version, a write-ahead log with `synchronous=FULL`, retained states. They have no limits, replies,
history, conflicts or repeats, and publish nothing again. Each commits in a way of its own:
`bridge_per_message` and `bridge_group_commit`.
"""

from __future__ import annotations

import argparse
import socket
import sqlite3
from pathlib import Path
from typing import Final

import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.fleet import REPORTS

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS twin (
        device TEXT PRIMARY KEY, version INTEGER NOT NULL, reported BLOB NOT NULL
    ) WITHOUT ROWID
"""
_READ: Final = "SELECT version, reported FROM twin WHERE device = ?"
_WRITE: Final = "INSERT OR REPLACE INTO twin (device, version, reported) VALUES (?, ?, ?)"


class Table:
    """The twins; the caller holds the transaction.

    Args:
        path: The file; made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(_SCHEMA)

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        """Put it on the disk."""
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def merge(self, device: str, payload: bytes | bytearray) -> bytes:
        """Merge a report into its twin; returns its state.

        Raises:
            orjson.JSONDecodeError: The report is not JSON.
        """
        patch: object = orjson.loads(payload)
        row = self._connection.execute(_READ, (device,)).fetchone()
        version, reported = (row[0] + 1, orjson.loads(row[1])) if row else (1, {})
        reported = merge_patch(reported, patch)
        self._connection.execute(_WRITE, (device, version, orjson.dumps(reported)))
        return orjson.dumps({"version": version, "reported": reported})


def merge_patch(target: object, patch: object) -> object:
    """Apply a merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def publish_state(client: mqtt.Client, report_topic: str, state: bytes) -> None:
    """Publish the state of a report's twin, retained.

    Raises:
        RuntimeError: The client has dropped it.
    """
    topic = report_topic.removesuffix("report") + "state"
    code = client.publish(topic, state, qos=1, retain=True).rc
    if code != mqtt.MQTT_ERR_SUCCESS:
        raise RuntimeError(f"{topic} was not published: {mqtt.error_string(code)}")


def make_client(*, manual_ack: bool) -> mqtt.Client:
    """Return a client that subscribes to all reports, as fast as paho-mqtt gets.

    No window of its own, as a finite one is searched at each PUBACK, and no Nagle delay.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, "paho-bridge", clean_session=True, manual_ack=manual_ack
    )
    client.max_inflight_messages_set(0)

    def on_socket_open(_client: mqtt.Client, _userdata: object, opened: mqtt.SocketLike) -> None:
        if isinstance(opened, socket.socket):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_connect(client: mqtt.Client, *_: object) -> None:
        client.subscribe(REPORTS, qos=1)

    client.on_socket_open = on_socket_open
    client.on_connect = on_connect
    return client


def read_arguments(program: str) -> tuple[int, Path]:
    """Return the broker's port and the file of the table, from the command line."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--store", type=Path, required=True)
    given = parser.parse_args()
    return given.port, given.store
