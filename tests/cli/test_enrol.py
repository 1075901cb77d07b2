"""`syncbridge enrol`, with a bridge and on the store alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner

from bridge.cli.group import syncbridge
from bridge.config import Config
from bridge.device import enrol
from bridge.security.claim import Claim
from bridge.security.frame import Algorithm
from bridge.security.mechanism import Kem
from tests.device.scripted_bridge import PATIENCE_S
from tests.support.bridge import running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import sealing_config


async def run(config: Config, *words: str, status: int = 0) -> tuple[str, str]:
    """What `syncbridge enrol` prints to its standard output and to its standard error."""
    arguments = ["enrol", *words, "--store", str(config.store.path)]
    result = await asyncio.to_thread(CliRunner().invoke, syncbridge, arguments)
    assert (result.exit_code == 0) == (status == 0), result.output
    return result.stdout, str(result.exception or result.stderr)


async def listed(config: Config, *words: str) -> list[dict[str, object]]:
    """What is listed."""
    rows: list[dict[str, object]] = json.loads((await run(config, "--list", "--json", *words))[0])[
        "claims"
    ]
    return rows


async def test_an_operator_makes_a_claim_and_sees_what_became_of_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Made for one device, used by it, shown; the claim itself is shown once."""
    config = sealing_config(mosquitto, tmp_path)
    async with running_bridge(config):
        printed, note = await run(
            config, "lamp-1", "--hybrid", "--algorithm", "chacha20-poly1305", "--expires-s", "600"
        )
        text = printed.strip()
        claim = Claim.parse(text)
        assert claim.kem is Kem.MLKEM768_X25519
        assert "for lamp-1" in note
        (row,) = await listed(config)
        assert (row["id"], row["device"], row["state"]) == (claim.claim_id.hex(), "lamp-1", "open")
        assert int(str(row["expires_at"])) - int(str(row["created_at"])) == 600 * 1_000_000
        key = await asyncio.to_thread(
            lambda: enrol("lamp-1", text, port=mosquitto.port, timeout_s=PATIENCE_S)
        )
        assert key.algorithm is Algorithm.CHACHA20_POLY1305
        (row,) = await listed(config)
        assert (row["state"], row["key_id"], row["refused"]) == ("used", 1, 0)
        table, _ = await run(config, "--list")
        assert "lamp-1" in table
        assert "used" in table
        assert text not in table
        assert claim.secret.hex() not in json.dumps(row)


async def test_a_claim_is_withdrawn(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Also where no bridge runs; what was used stays used."""
    config = sealing_config(mosquitto, tmp_path)
    async with running_bridge(config):
        pass
    made = json.loads((await run(config, "lamp-1", "--json"))[0])
    assert Claim.parse(made["claim"]).claim_id.hex() == made["id"]
    await run(config, "lamp-2")
    await run(config, "--withdraw", made["id"])
    assert [row["state"] for row in await listed(config, "lamp-1")] == ["withdrawn"]
    assert [row["state"] for row in await listed(config, "lamp-2")] == ["open"]
    _, problem = await run(config, "--withdraw", made["id"], status=1)
    assert "could be withdrawn" in problem


async def test_a_store_without_an_identity_makes_no_claim(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A device could not know its bridge."""
    config = sealing_config(mosquitto, tmp_path)
    async with running_bridge(config.model_copy(update={"sealing": type(config.sealing)()})):
        _, problem = await run(config, "lamp-1", status=1)
    assert "sealing.wrapping_key_file" in problem


async def test_what_cannot_be_is_refused(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Before anything is asked."""
    config = sealing_config(mosquitto, tmp_path)
    for words in ([], ["lamp/1"], ["lamp-1", "--expires-s", "0"], ["--withdraw", "../x"]):
        await run(config, *words, status=2)
