"""What the page on enrolment says is what the program does."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from pathlib import Path

from click.testing import CliRunner

from bridge.cli.group import syncbridge
from bridge.device.key_file import read_device_key
from bridge.security.claim import Claim
from bridge.security.layout import from_base64url
from bridge.security.mechanism import Kem
from device_sim.cli import device_sim
from tests.docs.markdown import Document
from tests.support.bridge import running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import sealing_config

ENROLMENT = Document("enrolment.md")


async def test_the_two_steps_of_the_page_enrol_a_device(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The operator's command and the device's program, as they stand there."""
    shown = next(line.strip() for line in ENROLMENT.text.splitlines() if "$ syncbridge" in line)
    words = shlex.split(shown.removeprefix("$ syncbridge "))
    (program,) = ENROLMENT.blocks("python")
    text = program.text.replace('host="broker.example"', "port=port, timeout_s=60")
    text = text.replace('"/var/lib/lamp/key"', "key_file")
    assert "port=port" in text
    config = sealing_config(mosquitto, tmp_path)
    async with running_bridge(config):
        arguments = [*words, "--store", str(config.store.path)]
        result = await asyncio.to_thread(CliRunner().invoke, syncbridge, arguments)
        assert result.exit_code == 0, result.output
        names: dict[str, object] = {
            "claim": result.stdout.strip(),
            "port": mosquitto.port,
            "key_file": tmp_path / "lamp.key",
        }
        await asyncio.to_thread(exec, text, names)
    assert names["key"] == read_device_key(tmp_path / "lamp.key")


async def test_the_pipe_of_the_page_enrols_a_device(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """What one program prints, the other one reads."""
    (block,) = ENROLMENT.blocks("sh")
    operator, device = (shlex.split(part)[1:] for part in block.text.split("|"))
    config = sealing_config(mosquitto, tmp_path)
    file = str(tmp_path / device[-1])
    async with running_bridge(config):
        store = ["--store", str(config.store.path)]
        made = await asyncio.to_thread(CliRunner().invoke, syncbridge, [*operator, *store])
        arguments = [*device[:-1], file, "--broker", f"mqtt://127.0.0.1:{mosquitto.port}"]
        fetched = await asyncio.to_thread(
            CliRunner().invoke, device_sim, arguments, input=made.stdout
        )
        assert fetched.exit_code == 0, fetched.output
        assert "key 1 of lamp-1" in fetched.output
        assert read_device_key(file).key_id == 1
        wrong = await asyncio.to_thread(
            CliRunner().invoke, device_sim, arguments, input="no claim\n"
        )
    assert wrong.exit_code == 2
    assert "a claim begins with sbe_" in wrong.output


def test_the_layout_of_a_claim_is_the_documented_one() -> None:
    """Field by field, in the order of the table."""
    claim = Claim.make(Kem.MLKEM768_X25519, bytes(range(32)))
    content = from_base64url(claim.text.removeprefix("sbe_"))
    fields = [
        b"\x01",
        bytes([Kem.MLKEM768_X25519]),
        claim.claim_id,
        claim.secret,
        claim.identity,
        hashlib.sha256(content[:74]).digest()[:4],
    ]
    rows = ENROLMENT.table("from byte | bytes | what")
    assert len(rows) == len(fields)
    for (start, size, _), field in zip(rows, fields, strict=True):
        assert content[int(start) : int(start) + int(size)] == field
    assert len(content) == int(rows[-1][0]) + int(rows[-1][1])


def test_the_mechanisms_are_the_documented_ones() -> None:
    """By number, and with the length of their public keys."""
    rows = ENROLMENT.table("number | mechanism | KEM id of HPKE | public key | private key")
    found = {int(row[0]): int(row[3].split()[0]) for row in rows}
    assert found == {int(kem): kem.public_key_bytes for kem in Kem}
    assert all(row[4].startswith("32 bytes") for row in rows)


def test_the_claim_of_the_page_is_one() -> None:
    """And of no bridge that there is."""
    (shown,) = (line.strip() for line in ENROLMENT.text.splitlines() if " sbe_" in line[:8])
    assert Claim.parse(shown).kem is Kem.X25519
