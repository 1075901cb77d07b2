"""A thousand devices, of which a district goes dark, as processes; and the page in a browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device_sim.waiting import PATIENCE_S
from tests.support.mosquitto import Mosquitto
from tests.support.services import require_program

_ROOT = Path(__file__).parents[2]
_CHARTS = 5

_DARK = """\
about: a district of a thousand devices goes dark
devices: 1000
districts: 4
ramp: 500
phases:
  - {name: light, for: 2s, rate: 0.2}
  - {name: dark, for: 2s, rate: 0.2, power_off: {district: 1}}
  - {name: light again, for: 2s, rate: 0.2, power_on: {district: 1}, faults: [loss=1%]}
"""


def _open(page: Path, profile: Path, *options: str) -> str:
    """Open a page in a browser without a screen; returns its elements as the browser has them."""
    browser = require_program("chromium")
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
            *(f"--user-data-dir={profile}", *options, page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


@pytest.mark.timeout(240)
def test_the_page_of_a_power_cut_shows_its_charts_in_a_browser(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A bridge and a fleet as processes; every twin is right in the end."""
    address = f"mqtt://127.0.0.1:{mosquitto.port}"
    scenario, page = tmp_path / "dark.yaml", tmp_path / "dark.html"
    scenario.write_text(_DARK)
    python = [sys.executable, "-m"]
    store = str(tmp_path / "store.db")
    with subprocess.Popen(
        [*python, "bridge", "run", "--broker", address, "--store", store],
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as bridge:
        try:
            fleet = subprocess.run(
                [
                    *(*python, "device_sim", "run", "--scenario", str(scenario)),
                    *("--html", str(page), "--json", "--converge", "60s", "--broker", address),
                ],
                cwd=_ROOT,
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
            )
        finally:
            bridge.kill()
    assert fleet.returncode == 0, fleet.stderr + fleet.stdout[:2000]
    summary = json.loads(fleet.stdout)
    assert summary["twins"]["equal"] == 1000
    assert 1150 < summary["connections"]["made"] < 1400
    document = _open(page, tmp_path / "profile", "--dump-dom")
    charts = re.findall(r"<svg.*?</svg>", document, re.DOTALL)
    assert len(charts) == _CHARTS
    assert all("<polyline" in chart for chart in charts)
    assert charts[0].count('<rect class="band') == 3
    picture = tmp_path / "page.png"
    _open(page, tmp_path / "profile", f"--screenshot={picture}")
    assert picture.read_bytes().startswith(b"\x89PNG")
