"""A client of administration: of a running bridge, or of a store in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import orjson

from bridge.api.orphans import RetainedTopic
from bridge.api.points import time_text
from bridge.api.socket_file import probe, socket_path
from bridge.core.timeline import Point
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName
from bridge.errors import AdminError, AdminRefused, Refused
from bridge.store.audit import ALL_ACTS, AuditFilter
from bridge.store.quarantined import EVERYTHING, QuarantineFilter

ANSWER_TIMEOUT_S = 60.0
"""Longest wait for an ordinary answer, or for the next piece of a long one."""

PROBLEM_BYTES_MAX = 64 * 1024
"""Most that is read of an answer that says what went wrong."""


class AdminClient:
    """Asks whoever holds a store; a context manager.

    Every method raises `AdminRefused` where the answer is a problem, `Refused` where a change of a
    twin was refused, and another `AdminError` where there is no answer.

    Args:
        store_path: The store; the bridge that holds it is asked.
        transport: Leads to this process instead, where no bridge holds the store.

    Attributes:
        is_offline: No bridge holds the store: what is changed is published when one starts.

    Raises:
        AdminUnreachable: No bridge answers.
        AdminError: The socket's path is too long.
    """

    def __init__(self, store_path: Path, transport: httpx.BaseTransport | None = None) -> None:
        self.is_offline = transport is not None
        self._holder = f"the holder of {store_path}"
        if transport is None:
            path = socket_path(store_path)
            probe(path)
            self._holder = f"the bridge on {path}"
            transport = httpx.HTTPTransport(uds=str(path))
        self._client = httpx.Client(
            transport=transport,
            base_url="http://syncbridge",
            timeout=ANSWER_TIMEOUT_S,
            trust_env=False,  # no proxy leads to a socket
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Idempotent."""
        self._client.close()

    def store(self) -> Mapping[str, object]:
        """Return path, version, twins and metadata."""
        return self._ask("GET", "/v1/store")

    def check(self) -> list[str]:
        """Verify the store; returns what is wrong, one line each, or nothing."""
        problems = self._ask("POST", "/v1/store/check", timeout_s=None)["problems"]
        return [str(line) for line in problems] if isinstance(problems, list) else []

    def backup(self, target: Path) -> int:
        """Make the bridge write a backup to a new file; returns its size in bytes."""
        body = {"path": str(target.absolute())}
        answer = self._ask("POST", "/v1/store/backup", body, timeout_s=None)
        size_bytes = answer["size_bytes"]
        return size_bytes if isinstance(size_bytes, int) else 0

    def export(self) -> Iterator[bytes]:
        """Yield the store as JSON lines; see `Store.export`."""
        with (
            self._translated(),
            self._client.stream("GET", "/v1/store/export") as response,
        ):
            if response.is_error:
                raise _refusal(response, _read_start(response))
            rest = b""
            for piece in response.iter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line + b"\n"

    def history(
        self, key: TwinKey, *, below_version: int | None = None, limit: int | None = None
    ) -> Mapping[str, object]:
        """Return a page of the changes of a twin, the newest first."""
        return self._ask(
            "GET", _path(key, "history"), query={"below_version": below_version, "limit": limit}
        )

    def query(
        self, where: str | None, *, after: TwinKey | None = None, limit: int | None = None
    ) -> Mapping[str, object]:
        """Return a page of the twins that a query finds (None: of all), by device and name."""
        behind = None if after is None else "/".join(filter(None, after))
        return self._ask(
            "GET", "/v1/twins", query={"where": where, "after": behind, "limit": limit}
        )

    def state(self, key: TwinKey, at: Point) -> Mapping[str, object]:
        """Return a twin as it was."""
        return self._ask("GET", _path(key, "state"), query={"at": _written(at)}, timeout_s=None)

    def diff(self, key: TwinKey, one: Point, other: Point) -> Mapping[str, object]:
        """Return how a twin differs at two points: merge patches from the one to the other."""
        return self._ask(
            "GET",
            _path(key, "diff"),
            query={"from": _written(one), "to": _written(other)},
            timeout_s=None,
        )

    def rollback(
        self, key: TwinKey, to: Point, section: SectionName, writer: str
    ) -> Mapping[str, object]:
        """Bring a section back to what it was; returns what came of it."""
        body = {"to": _written(to), "section": section, "writer": writer}
        return self._ask("POST", _path(key, "rollback"), body, timeout_s=None)

    def conflicts(
        self, key: TwinKey | None, *, before: int | None = None, limit: int | None = None
    ) -> Mapping[str, object]:
        """Return a page of what a twin, or all of them, have lost, the newest first."""
        path = "/v1/conflicts" if key is None else _path(key, "conflicts")
        return self._ask("GET", path, query={"before": before, "limit": limit})

    def writers(self, key: TwinKey) -> Mapping[str, object]:
        """Return the writers of a twin that are remembered."""
        return self._ask("GET", _path(key, "writers"))

    def forget_writer(
        self, key: TwinKey, writer: str, section: SectionName | None = None
    ) -> Mapping[str, object]:
        """Forget what is remembered of a writer, in one section or in both."""
        return self._ask("DELETE", _path(key, f"writers/{writer}"), query={"section": section})

    def orphans(
        self, topics: Iterable[RetainedTopic], *, clear: bool = False, announce: bool = False
    ) -> Mapping[str, object]:
        """Return which retained topics belong to no twin.

        Args:
            topics: What is retained.
            clear: Let the bridge clear them.
            announce: Note in the audit trail that the caller is going to.
        """
        given = [{"device": k.device, "name": k.name, "below": below} for k, below in topics]
        return self._ask(
            "POST", "/v1/retained/orphans", {"topics": given, "clear": clear, "announce": announce}
        )

    def quarantine(
        self,
        wanted: QuarantineFilter = EVERYTHING,
        *,
        before: int | None = None,
        limit: int | None = None,
    ) -> Mapping[str, object]:
        """Return a page of quarantined messages, the newest first."""
        query = {**_quarantine_query(wanted), "before": before, "limit": limit}
        return self._ask("GET", "/v1/quarantine", query=query)

    def quarantined(self, message_id: int) -> Mapping[str, object]:
        """Return one quarantined message, with all that is kept of its payload."""
        return self._ask("GET", f"/v1/quarantine/{message_id}")

    def clear_quarantine(self, wanted: QuarantineFilter, *, dry_run: bool) -> Mapping[str, object]:
        """Clear quarantined messages, many at most; returns how many there are and were cleared."""
        query = {
            **_quarantine_query(wanted),
            "all": "true" if wanted == EVERYTHING else None,
            "dry_run": "true" if dry_run else None,
        }
        return self._ask("DELETE", "/v1/quarantine", query=query)

    def audit(
        self,
        wanted: AuditFilter = ALL_ACTS,
        *,
        before: int | None = None,
        limit: int | None = None,
    ) -> Mapping[str, object]:
        """Return a page of the audit trail, the newest first."""
        times = {"since": _time(wanted.since), "until": _time(wanted.until)}
        query = {**wanted._asdict(), **times, "before": before, "limit": limit}
        return self._ask("GET", "/v1/audit", query=query)

    def reload_permissions(self) -> Mapping[str, object]:
        """Make the bridge read its permissions again; returns what is in force now."""
        return self._ask("POST", "/v1/permissions/reload")

    def reload_schemas(self) -> Mapping[str, object]:
        """Make the bridge read its schemas again; returns how many are in force now."""
        return self._ask("POST", "/v1/schemas/reload")

    def train_dictionary(self, size_bytes: int) -> Mapping[str, object]:
        """Train a dictionary from the stored twins, and make it the current one."""
        return self._ask("POST", "/v1/dictionaries", {"size_bytes": size_bytes})

    def dictionaries(self) -> Mapping[str, object]:
        """Return all dictionaries, the current one first, without their content."""
        return self._ask("GET", "/v1/dictionaries")

    def create_token(self, principal: str, expires_at: int | None) -> Mapping[str, object]:
        """Make a token of the HTTP API; its text is in the answer and nowhere else."""
        return self._ask("POST", "/v1/tokens", {"principal": principal, "expires_at": expires_at})

    def tokens(self) -> Mapping[str, object]:
        """Return all tokens, without their texts."""
        return self._ask("GET", "/v1/tokens")

    def revoke_token(self, token_id: str) -> Mapping[str, object]:
        """Revoke a token."""
        return self._ask("DELETE", f"/v1/tokens/{token_id}")

    def create_claim(self, wanted: Mapping[str, object]) -> Mapping[str, object]:
        """Make a claim for enrolment; its text is in the answer and nowhere else."""
        return self._ask("POST", "/v1/claims", wanted)

    def claims(self) -> Mapping[str, object]:
        """Return all claims, without their texts."""
        return self._ask("GET", "/v1/claims")

    def withdraw_claim(self, claim_id: str) -> Mapping[str, object]:
        """Withdraw a claim that no device has used."""
        return self._ask("DELETE", f"/v1/claims/{claim_id}")

    def create_key(
        self, device: str, algorithm: str | None, *, rotate: bool = False
    ) -> Mapping[str, object]:
        """Make the next key of a device; with `rotate` it must have one. It is in the answer."""
        body = {"device": device, "algorithm": algorithm, "rotate": rotate}
        return self._ask("POST", "/v1/keys", body)

    def keys(self, device: str | None = None) -> Mapping[str, object]:
        """Return the keys of all devices, or of one, without the keys themselves."""
        return self._ask("GET", "/v1/keys", query={"device": device})

    def activate_key(self, group: str) -> Mapping[str, object]:
        """Make the next key of a group of readers the active one."""
        return self._ask("POST", f"/v1/keys/{group}/activate")

    def revoke_keys(self, device: str, key_id: int | None = None) -> Mapping[str, object]:
        """Revoke one key of a device, or all."""
        return self._ask("DELETE", f"/v1/keys/{device}", query={"key_id": key_id})

    def forget_keys(self, device: str) -> Mapping[str, object]:
        """Forget that a device had keys, all of which are revoked."""
        return self._ask("POST", f"/v1/keys/{device}/forget")

    def start_fleet_change(self, order: Mapping[str, object]) -> Mapping[str, object]:
        """Begin a fleet change, or tell what it would do; see docs/fleet-changes.md."""
        return self._ask("POST", "/v1/fleet-changes", order)

    def fleet_changes(self) -> Mapping[str, object]:
        """Return the fleet changes, the newest first."""
        return self._ask("GET", "/v1/fleet-changes")

    def fleet_change(self, change_id: str, *, after: int | None = None) -> Mapping[str, object]:
        """Return a fleet change; with `after`, once it has a higher revision, or after a while."""
        return self._ask("GET", f"/v1/fleet-changes/{change_id}", query={"after": after})

    def fleet_devices(
        self, change_id: str, *, state: str | None = None, start: int = 0, limit: int | None = None
    ) -> Mapping[str, object]:
        """Return a page of the devices of a fleet change, from a position on."""
        return self._ask(
            "GET",
            f"/v1/fleet-changes/{change_id}/devices",
            query={"state": state, "from": start or None, "limit": limit},
        )

    def command_fleet_change(self, change_id: str, verb: str) -> Mapping[str, object]:
        """Pause, resume or undo a fleet change."""
        return self._ask("POST", f"/v1/fleet-changes/{change_id}/{verb}")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, int | str | None] | None = None,
        timeout_s: float | None = ANSWER_TIMEOUT_S,
    ) -> Mapping[str, object]:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        with self._translated():
            response = self._client.request(
                method,
                path,
                params=given,
                content=None if body is None else orjson.dumps(body),
                timeout=timeout_s,
            )
        if response.is_error:
            raise _refusal(response, response.content)
        return _object(response.content)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise AdminError(
                f"{self._holder} did not answer to the end: {error}",
                hint="see the bridge's log",
            ) from error


def _read_start(response: httpx.Response) -> bytes:
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) >= PROBLEM_BYTES_MAX:
            break
    return body


def _written(point: Point) -> str:
    """Return a point so that it is not taken for the other kind."""
    return str(point.number) if point.kind == "version" else time_text(point.number)


def _quarantine_query(wanted: QuarantineFilter) -> dict[str, int | str | None]:
    times = {"since": _time(wanted.since), "until": _time(wanted.until)}
    return {"device": wanted.device, "reason": wanted.error, **times}


def _time(at: int | None) -> str | None:
    return None if at is None else time_text(at)


def _path(key: TwinKey, verb: str) -> str:
    return f"/v1/twins/{'/'.join(filter(None, key))}/{verb}"


def _refusal(response: httpx.Response, body: bytes) -> AdminRefused | Refused:
    problem = _object(body)
    detail = str(problem.get("detail") or response.reason_phrase)
    if problem.get("error"):
        return Refused(response.status_code, str(problem["error"]), detail)
    return AdminRefused(response.status_code, detail, hint=str(problem.get("hint", "")))


def _object(body: bytes) -> Mapping[str, object]:
    """Return a JSON object; empty where it is none, as in an answer of another server."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
