"""What the metrics say of a bridge at work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from bridge import metrics
from bridge.config import MetricsConfig
from bridge.service import Bridge
from bridge.service.families import LABEL_VALUES, counted
from bridge.store.base import Store
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto, free_port


def samples(text: str) -> dict[tuple[str, str], float]:
    """Return each sample by its name and the values of its labels."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def read(bridge: Bridge) -> dict[tuple[str, str], float]:
    """Return the metrics of a bridge."""
    return samples((await bridge.exposition(""))[0].decode())


@asynccontextmanager
async def at_work(
    mosquitto: Mosquitto, directory: Path, reports: int, **sections: object
) -> AsyncIterator[Bridge]:
    """A bridge that has taken so many reports of one device, one after the other."""
    async with (
        running_bridge(make_config(mosquitto, directory, **sections)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        for number in range(reports):
            await client.publish("sync/lamp-1/report", {"n": number, "$": {"id": "r"}})
            assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]
        async with asyncio.timeout(20):
            while bridge.counters.value(metrics.PUBLISHED) < 1:
                await asyncio.sleep(0.01)
        yield bridge


async def test_what_was_done_is_counted(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Each report once, in each stage that its batch went through."""
    async with at_work(mosquitto, tmp_path, 5) as bridge:
        found = await read(bridge)
    assert found["syncbridge_updates_total", "changed"] == 5
    for stage in ("decode", "reconcile", "encode", "commit", "hand_off", "offer"):
        assert found["syncbridge_stage_seconds_count", stage] == 5, stage
    assert found["syncbridge_stage_seconds_count", "batch"] >= 5
    assert found["syncbridge_stage_seconds_count", "load"] == 1
    assert found["syncbridge_stage_seconds_count", "publish"] >= 2
    assert found["syncbridge_commits_total", ""] == 5
    assert found["syncbridge_messages_received_total", ""] == 5
    # The bridge's own status is none of them, and comes in a batch too.
    assert found["syncbridge_batch_messages_sum", ""] >= 5
    assert (found["syncbridge_cache_lookups_total", ""], found["syncbridge_twins", ""]) == (5, 1)
    assert found["syncbridge_cache_misses_total", ""] == 1


async def test_the_stages_add_up_to_the_batch(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """No stage counts what another one has counted, and nothing long is left out."""
    async with at_work(mosquitto, tmp_path, 20) as bridge:
        found = await read(bridge)
    seconds = {
        stage: found["syncbridge_stage_seconds_sum", stage]
        for stage in metrics.STAGES
        if stage not in (metrics.WAIT, metrics.PUBLISH)
    }
    batch = seconds.pop(metrics.BATCH)
    assert 0.5 * batch < sum(seconds.values()) <= batch


async def test_buckets_are_cumulative_and_end_with_all(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """As Prometheus wants them."""
    async with at_work(mosquitto, tmp_path, 3) as bridge:
        text = (await bridge.exposition(""))[0].decode()
    (family,) = (
        family
        for family in text_string_to_metric_families(text)
        if family.name == "syncbridge_stage_seconds"
    )
    counts = [
        sample.value
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.labels["stage"] == "commit"
    ]
    assert counts == sorted(counts)
    assert len(counts) == len(metrics.STAGE_BOUNDS_S) + 1
    assert counts[-1] == 3


async def test_a_port_of_its_own_answers_metrics_and_nothing_else(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """In the format that is asked for."""
    port = free_port()
    listen = MetricsConfig(listen=f"127.0.0.1:{port}")
    async with (
        at_work(mosquitto, tmp_path, 1, metrics=listen),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        as_text = await client.get("/metrics")
        accept = "application/openmetrics-text; version=1.0.0"
        as_openmetrics = await client.get("/metrics", headers={"accept": accept})
        assert (await client.get("/v1/store")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
    assert as_text.headers["content-type"].startswith("text/plain; version=")
    assert samples(as_text.text)["syncbridge_updates_total", "changed"] == 1
    assert as_openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert "syncbridge_updates" in {f.name for f in openmetrics_families(as_openmetrics.text)}


async def test_a_port_that_is_taken_stops_nothing_else(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says what to do."""
    listen = MetricsConfig(listen=f"127.0.0.1:{mosquitto.port}")
    async with at_work(mosquitto, tmp_path, 1, metrics=listen):
        pass
    logged = capsys.readouterr()
    assert "no metrics on TCP while this bridge runs" in logged.out + logged.err
    assert "metrics.listen" in logged.out + logged.err


async def test_metrics_are_there_while_the_store_hangs(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """That is when they are looked at; the number of twins is the last one known."""
    release = threading.Event()

    def hang(_store: Store) -> None:
        assert release.wait(20)

    async with at_work(mosquitto, tmp_path, 1) as bridge:
        hanging = asyncio.create_task(bridge.run_store(hang))
        await asyncio.sleep(0)
        found = await read(bridge)
        assert not hanging.done()
        release.set()
        await hanging
    assert found["syncbridge_twins", ""] == 0
    assert found["syncbridge_link_connected", ""] == 1


async def test_a_broker_that_is_away_shows(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """As not connected."""
    async with at_work(mosquitto, tmp_path, 1) as bridge:
        mosquitto.kill()
        async with asyncio.timeout(20):
            while bridge.session is not None:
                await asyncio.sleep(0.01)
        found = await read(bridge)
    assert found["syncbridge_link_connected", ""] == 0
    assert found["syncbridge_link_connections_total", ""] == 1


def test_a_label_never_has_more_values_than_its_bound() -> None:
    """What is beyond it is counted together, and nothing is lost."""
    counters = metrics.Counters()
    for number in range(3 * LABEL_VALUES):
        counters.add(metrics.UPDATES_REFUSED, f"reason_{number}")
    (family,) = (f for f in counted(counters) if f.name == "syncbridge_refusals")
    assert len(family.samples) == LABEL_VALUES + 1
    assert sum(sample.value for sample in family.samples) == 3 * LABEL_VALUES
