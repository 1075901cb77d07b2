"""The metrics that documents, dashboard and alerts speak of are those that there are."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bridge import metrics
from bridge.config import Config, MetricsConfig, TracingConfig
from bridge.service import Bridge
from tests.docs.markdown import ROOT, Document, plain
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

DOCUMENT = Document("metrics.md")
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
ALERTS = ROOT / "deploy" / "prometheus-alerts.yaml"

_METRIC = re.compile(r"\b(?:syncbridge|process|python)_[a-z_]+\b")
_SELECTED = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
_LABEL = re.compile(r'([a-z]+)\s*(?:=~|=|!=|!~)\s*"([^"]*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
# Given by Prometheus to whatever it reads.
_OF_TARGETS = {"instance", "job"}


async def provoke(client: Client, bridge: Bridge) -> None:
    """Make the bridge show every label: a refusal and a conflict too."""
    await client.publish("sync/lamp-1/report", {"on": True, "$": {"id": "1"}})
    await client.next("sync/lamp-1/reply/lamp-1")
    await client.publish("sync/lamp-1/report", b"[")
    for writer in ("app", "panel"):
        desire = {"mode": writer, "$": {"id": writer, "seen": 1}}
        await client.publish(f"sync/lamp-1/desire/{writer}", desire)
        assert (await client.next(f"sync/lamp-1/reply/{writer}"))["$"]["ok"]
    async with asyncio.timeout(20):
        while bridge.counters.value(metrics.PUBLISHED) < 1:
            await asyncio.sleep(0.01)
    assert bridge.counters.value(metrics.CONFLICTS, "latest") == 1


@pytest.fixture
async def exposed(mosquitto: Mosquitto, tmp_path: Path) -> str:
    """What a real bridge answers."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        await provoke(client, bridge)
        return (await bridge.exposition(""))[0].decode()


def series(text: str) -> dict[str, dict[str, set[str]]]:
    """Return the values of each label of each series."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def families(text: str) -> dict[str, tuple[str, set[str]]]:
    """Return type and labels of each metric of ours, under the name that it is read by."""
    found = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("syncbridge_"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            name = family.name + ("_total" if family.type == "counter" else "")
            found[name] = (family.type, labels)
    return found


def problems(expression: str, there: dict[str, dict[str, set[str]]]) -> Iterator[str]:
    """Yield what an expression of Prometheus names and the bridge does not have."""
    for name in _METRIC.findall(expression):
        if name not in there:
            yield f"{name} does not exist"
    for name, selectors in _SELECTED.findall(expression):
        for label, pattern in _LABEL.findall(selectors):
            if label in _OF_TARGETS:
                continue
            values = there.get(name, {}).get(label, set())
            if not all(part in values for part in pattern.split("|")):
                yield f"{name} has no {label} {pattern}"
    known = {label for labels in there.values() for label in labels} | _OF_TARGETS
    for grouped in _GROUPED.findall(expression):
        for label in grouped.split(","):
            if label.strip() not in known:
                yield f"there is no label {label.strip()}"


def expressions(part: Any) -> Iterator[str]:
    """Yield every expression of a dashboard or a file of rules."""
    if isinstance(part, dict):
        yield from (part[key] for key in ("expr",) if isinstance(part.get(key), str))
        yield from (found for value in part.values() for found in expressions(value))
    elif isinstance(part, list):
        yield from (found for value in part for found in expressions(value))


def test_every_metric_is_documented_and_no_other(exposed: str) -> None:
    """With its type and its labels."""
    documented = {
        plain(row[0]): (row[1], {plain(label) for label in row[2].split(", ") if label})
        for row in DOCUMENT.table("metric | type | labels | meaning")
    }
    assert documented == families(exposed)


def test_every_stage_is_documented_in_order() -> None:
    """As the way of a batch goes."""
    rows = DOCUMENT.table("stage | from | to")
    assert [plain(row[0]) for row in rows] == list(metrics.STAGES)


def test_the_metrics_of_the_process_that_are_named_exist(exposed: str) -> None:
    """They come from the library."""
    named = {text for text in DOCUMENT.code() if re.match(r"process_\w+\Z", text)}
    assert len(named) > 3
    assert named - series(exposed).keys() == set()
    assert any(name.startswith("python_gc_") for name in series(exposed))


def test_everything_on_the_dashboard_exists(exposed: str) -> None:
    """Every metric, every label and every value of a label in its expressions."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = list(expressions(dashboard["panels"]))
    assert len(found) > 30
    there = series(exposed)
    assert [problem for expression in found for problem in problems(expression, there)] == []
    (variable,) = (v for v in dashboard["templating"]["list"] if v["type"] == "query")
    assert "syncbridge_build_info" in there
    assert "syncbridge_build_info" in variable["definition"]


def test_the_panels_lie_beside_each_other() -> None:
    """Each has a number of its own and a place of its own."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


def test_everything_in_the_alerts_exists(exposed: str) -> None:
    """And each says how severe it is and what it means."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    there = {**series(exposed), "up": {}}
    for rule in group["rules"]:
        assert list(problems(rule["expr"], there)) == []
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")


def test_expressions_in_the_document_name_what_exists(exposed: str) -> None:
    """The questions that it answers."""
    rows = DOCUMENT.table("question | expression")
    there = series(exposed)
    assert [problem for row in rows for problem in problems(row[1], there)] == []


@pytest.mark.parametrize(
    "expression",
    [
        "rate(syncbridge_nothing_total[5m])",
        'syncbridge_publish_twins{state="lost"}',
        "sum by (device) (syncbridge_twins)",
    ],
)
def test_what_does_not_exist_is_found(exposed: str, expression: str) -> None:
    """Else the tests above show nothing."""
    assert list(problems(expression, series(exposed)))


def test_the_settings_in_the_document_are_accepted() -> None:
    """As they stand there; and Prometheus reads where the bridge listens."""
    listening, traced = (yaml.safe_load(block.text) for block in DOCUMENT.blocks("yml"))
    config = Config(
        metrics=MetricsConfig(**listening["metrics"]), tracing=TracingConfig(**traced["tracing"])
    )
    block, over_https = DOCUMENT.blocks("yaml")
    (job,) = yaml.safe_load(block.text)["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [config.metrics.listen]
    (remote,) = yaml.safe_load(over_https.text)["scrape_configs"]
    assert (remote["job_name"], remote["scheme"]) == (job["job_name"], "https")
    assert f'job="{job["job_name"]}"' in DASHBOARD.read_text("utf-8").replace("\\", "")


async def test_the_socket_beside_the_store_answers_as_the_document_says(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """At the address of the command."""
    assert "store.db.sock http://localhost/metrics" in DOCUMENT.text
    async with running_bridge(make_config(mosquitto, tmp_path)):
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "store.db.sock"))
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.get("http://localhost/metrics")
    assert answer.status_code == 200
    assert "syncbridge_link_connected 1.0" in answer.text.splitlines()
