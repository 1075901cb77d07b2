"""Too many new twins over HTTP."""

from __future__ import annotations

from pathlib import Path

from bridge.config import LimitsConfig
from tests.http.served import http_config, serving
from tests.support.mosquitto import Mosquitto


def test_a_flood_of_new_twins_is_refused_with_429(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """And says when to come again; twins that are there are written as before."""
    limits = LimitsConfig(new_devices_per_minute=1)
    with serving(http_config(mosquitto, tmp_path, limits=limits)) as served:
        known = "/v1/twins/known-1/desired"
        assert served.ask("PATCH", known, json={"a": 1}).status_code == 200
        refused = served.ask("PATCH", "/v1/twins/new-1/desired", json={"a": 1})
        # Where the minute has ended meanwhile, one more was made.
        if refused.status_code == 200:
            refused = served.ask("PATCH", "/v1/twins/new-2/desired", json={"a": 1})
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_new_devices")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert served.ask("PATCH", known, json={"a": 2}).status_code == 200
