"""A small fleet whose devices report what a test lets them report, and the changes made to it."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import requests

from tests.http.served import Served

PATIENCE_S = 60.0
"""Far longer than anything takes, also on a machine that is busy with something else."""


class Fleet:
    """Devices of one name with numbers, in a bridge that answers HTTP.

    Args:
        served: The bridge.
        name: What the devices are called.
        count: How many there are.
        headers: Of every request.
    """

    def __init__(
        self, served: Served, name: str, count: int, headers: dict[str, str] | None = None
    ) -> None:
        self.served = served
        self.devices = [f"{name}-{number}" for number in range(count)]
        self.where = f"device GLOB '{name}-*'"
        self.headers = headers
        for device in self.devices:
            self.report(device, {"mode": "day"})

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask for a path below /v1, or for the whole of it."""
        return self.served.ask(method, f"/v1{path}", headers=self.headers, **options)

    def report(self, device: str, patch: dict[str, Any]) -> None:
        """Report, as the device would."""
        answer = self.ask("PATCH", f"/twins/{device}/reported", json=patch)
        assert answer.status_code == 200, answer.text

    def desire(self, device: str, patch: dict[str, Any]) -> None:
        """Desire something, as another application would."""
        answer = self.ask("PATCH", f"/twins/{device}/desired", json=patch)
        assert answer.status_code == 200, answer.text

    def desired(self, device: str) -> Any:
        """Return what is desired of a device."""
        return self.ask("GET", f"/twins/{device}/desired").json()

    def order(self, **members: Any) -> requests.Response:
        """Ask for a change of mode to night, unless it is told otherwise."""
        body = {"where": self.where, "patch": {"mode": "night"}, "pace_per_s": 1000, **members}
        return self.ask("POST", "/fleet-changes", json=body)

    def start(self, **members: Any) -> str:
        """Begin a change; returns its id."""
        answer = self.order(**members)
        assert answer.status_code == 201, answer.text
        change_id: str = answer.json()["id"]
        assert answer.headers["location"] == f"/v1/fleet-changes/{change_id}"
        return change_id

    def show(self, change_id: str, **query: int) -> Any:
        """Return a change."""
        answer = self.ask("GET", f"/fleet-changes/{change_id}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, change_id: str, verb: str) -> Any:
        """Pause, resume or undo a change."""
        answer = self.ask("POST", f"/fleet-changes/{change_id}/{verb}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, change_id: str, *statuses: str) -> Any:
        """Wait until a change has one of these statuses, and return it."""
        deadline = time.monotonic() + PATIENCE_S
        change = self.show(change_id)
        while change["status"] not in statuses:
            assert time.monotonic() < deadline, change
            change = self.show(change_id, after=change["revision"], wait_s=5)
        return change

    def until_states(self, change_id: str, **states: int) -> Any:
        """Wait until so many devices of a change are in these states, and return it."""
        deadline = time.monotonic() + PATIENCE_S
        change = self.show(change_id)
        while any(change["states"].get(state, 0) != count for state, count in states.items()):
            assert time.monotonic() < deadline, change
            change = self.show(change_id, after=change["revision"], wait_s=5)
        return change

    def in_state(self, change_id: str, state: str) -> dict[str, str]:
        """Return the devices in a state, and why they are."""
        answer = self.ask("GET", f"/fleet-changes/{change_id}/devices", params={"state": state})
        assert answer.status_code == 200, answer.text
        return {row["device"]: row["why"] for row in answer.json()["devices"]}

    def obey(self, change_id: str, patch: dict[str, Any], but: Collection[str] = ()) -> None:
        """Let the devices in flight report a patch."""
        for device in self.in_state(change_id, "in_flight"):
            if device not in but:
                self.report(device, patch)
