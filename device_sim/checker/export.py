"""What `syncbridge store export` says of a store, as the checker needs it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, cast

import orjson

from bridge.device import JsonObject, JsonValue
from bridge.errors import ConfigError, NotAnswered

EXPORT_TIMEOUT_S: Final = 300.0
"""How long the export of a large store may take."""


class Change(NamedTuple):
    """A row of the history: `patch` leads forth and `previous` back."""

    version: int
    writer: str
    section: str
    patch: JsonObject
    previous: JsonObject


class Loss(NamedTuple):
    """An entry of the conflict log: whose write at which path does not stand."""

    section: str
    path: tuple[str, ...]
    lost: JsonValue
    lost_by: str


@dataclass(slots=True)
class StoredTwin:
    """One twin, with its past.

    Attributes:
        version: Of the twin.
        exists: False after a deletion.
        state: What is to be retained on `state`; empty where the twin does not exist.
        delta: What is to be retained on `delta`, or None.
        history: Its changes, the oldest first.
        losses: Its conflict log.
    """

    version: int
    exists: bool
    state: JsonObject
    delta: JsonObject | None
    history: list[Change] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def section(self, name: str) -> JsonObject:
        """Return a section of the state; empty where there is none."""
        found = self.state.get(name)
        return found if isinstance(found, dict) else {}


def read_export(lines: Iterable[bytes]) -> dict[str, StoredTwin]:
    """Read an export; returns `device` or `device/name` -> twin.

    Raises:
        ConfigError: It is no export, or ends before its end.
    """
    twins: dict[str, StoredTwin] = {}
    ended = False
    for number, text in enumerate(lines, 1):
        try:
            ended = _enter(orjson.loads(text), twins)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"line {number} is not of an export: {text[:80]!r}",
                hint="make one with `syncbridge store export`",
            ) from error
    if not ended:
        raise ConfigError("the export is cut short: its last line says `end`")
    return twins


def _enter(record: dict[str, object], twins: dict[str, StoredTwin]) -> bool:
    """Take a line; True where it is the last one."""
    kind = record["kind"]
    if kind == "end":
        return True
    if kind == "header":
        return False
    twin_id = "/".join(filter(None, (str(record["device"]), str(record["name"]))))
    if kind == "twin":
        twins[twin_id] = StoredTwin(
            cast("int", record["version"]),
            record["exists"] is True,
            cast("JsonObject", record["state"] or {}),
            cast("JsonObject | None", record["delta"]),
        )
    elif kind == "history":
        twins[twin_id].history.append(
            Change(
                cast("int", record["version"]),
                str(record["writer"]),
                str(record["section"]),
                cast("JsonObject", record["patch"]),
                cast("JsonObject", record["previous"]),
            )
        )
    elif kind == "conflict":
        path = tuple(cast("list[str]", record["path"]))
        lost = cast("JsonValue", record["lost"])
        twins[twin_id].losses.append(
            Loss(str(record["section"]), path, lost, str(record["lost_by"]))
        )
    return False


async def export_store(store: Path) -> dict[str, StoredTwin]:
    """Export a store, through the bridge that holds it where one does, and read that.

    Raises:
        NotAnswered: The export failed; with what the program said.
        ConfigError: What came is no export.
    """
    command = (sys.executable, "-m", "bridge", "store", "export", "--store", str(store))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(EXPORT_TIMEOUT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NotAnswered(f"the export took longer than {EXPORT_TIMEOUT_S:g} s") from None
    if process.returncode:
        raise NotAnswered(
            f"the store {store} could not be exported: {errors.decode(errors='replace').strip()}"
        )
    return read_export(output.splitlines())
