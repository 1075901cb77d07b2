"""`enrol`, as a device's program calls it: with a bridge, without one, and with a forger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
import pytest

from bridge.config import Config
from bridge.device import Device, enrol
from bridge.device.enrolment import Enrolment
from bridge.device.key_file import read_device_key, write_device_key
from bridge.device.private_file import read_private, write_private
from bridge.errors import KeyFileError, NotAnswered, NotGenuine, Refused
from bridge.security.claim import Claim, public_signing_key
from bridge.security.enrolment import EnrolRequest, Grant, Place
from bridge.security.frame import Algorithm
from bridge.security.mechanism import Kem
from bridge.security.sealing import DeviceKey
from bridge.service.clock import now_us
from tests.device.scripted_bridge import PATIENCE_S
from tests.support.bridge import connected_client, running_bridge
from tests.support.enrolled import ENROL, KEY, give_claim, keys_of, stored_claim
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import sealing_config

FORGER_KEY = bytes(range(32))
PLACE = Place("lamp-1", ENROL)


@pytest.fixture
def config(mosquitto: Mosquitto, tmp_path: Path) -> Config:
    """Of a bridge that gives keys."""
    return sealing_config(mosquitto, tmp_path)


def asking(broker: Mosquitto, claim: Claim, **options: object) -> Callable[[], DeviceKey]:
    """A call of `enrol` that waits for as long as it takes."""
    given = {"timeout_s": PATIENCE_S, **options}
    return partial(enrol, "lamp-1", claim.text, port=broker.port, **given)  # type: ignore[arg-type]


def aside_of(file: Path) -> Path:
    """Where an enrolment that was broken off is kept."""
    return file.with_name(file.name + ".enrolling")


@asynccontextmanager
async def forging(broker: Mosquitto, identity_key: bytes) -> AsyncIterator[None]:
    """Somebody who reads each request, and answers it with a key of theirs."""

    async def forge() -> None:
        while True:
            body = await client.next(ENROL)
            head = {"id": body.pop("$")["id"], "ok": True}
            request = EnrolRequest.read(body)
            assert isinstance(request, EnrolRequest)
            key = DeviceKey("lamp-1", 1, Algorithm.AES_256_GCM, bytes(32))
            grant = Grant.make(PLACE, Kem.X25519, request, key, identity_key)
            await client.publish(KEY, {"$": head, **grant.body})

    async with connected_client(broker, ENROL) as client:
        task = asyncio.create_task(forge())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.mark.parametrize("kem", list(Kem))
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_a_device_enrols_and_reports(
    config: Config, mosquitto: Mosquitto, tmp_path: Path, kem: Kem, protocol: str
) -> None:
    """With the file that `enrol` has written, a device seals, and is answered."""
    file = tmp_path / "lamp.key"
    async with running_bridge(config) as bridge:
        claim = await give_claim(bridge, now_us(), kem=kem)
        key = await asyncio.to_thread(asking(mosquitto, claim, key_file=file, protocol=protocol))
        assert read_device_key(file) == key
        assert file.stat().st_mode & 0o777 == 0o600
        assert not aside_of(file).exists()
        with Device("lamp-1", port=mosquitto.port, sealing=read_device_key(file)) as lamp:
            answer = await asyncio.to_thread(lamp.report({"on": True}).wait, PATIENCE_S)
        assert answer.version == 1


async def test_what_the_bridge_has_not_signed_is_not_believed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A key from somebody else would open everything to them."""
    claim = Claim.make(Kem.X25519, public_signing_key(bytes(32)))
    file = tmp_path / "lamp.key"
    async with forging(mosquitto, FORGER_KEY):
        # It waits to the end for another answer; on a slow machine the forged one takes a while.
        for timeout_s in (2.0, 10.0, PATIENCE_S):
            with pytest.raises((NotGenuine, NotAnswered)) as failed:
                await asyncio.to_thread(
                    asking(mosquitto, claim, key_file=file, timeout_s=timeout_s)
                )
            if failed.type is NotGenuine:
                break
    assert failed.type is NotGenuine
    assert not file.exists()


async def test_the_bridges_answer_is_taken_beside_forged_ones(
    config: Config, mosquitto: Mosquitto
) -> None:
    """Whichever comes first."""
    async with running_bridge(config) as bridge, forging(mosquitto, FORGER_KEY):
        claim = await give_claim(bridge, now_us())
        key = await asyncio.to_thread(asking(mosquitto, claim))
        assert key.secret != bytes(32)
        assert await keys_of(bridge) == [key.key_id]


async def test_an_answer_of_another_enrolment_is_passed_over() -> None:
    """What is recorded at the broker cannot be used again."""
    claim = Claim.make(Kem.X25519, public_signing_key(FORGER_KEY))
    before, now = (Enrolment("lamp-1", claim.text) for _ in range(2))
    key = DeviceKey("lamp-1", 1, Algorithm.AES_256_GCM, bytes(32))
    request = EnrolRequest.make(PLACE, claim, before.private_key)
    body = Grant.make(PLACE, claim.kem, request, key, FORGER_KEY).body

    def answer(to: Enrolment) -> bytes:
        request_id = orjson.loads(to.request.payload)["$"]["id"]
        return orjson.dumps({"$": {"id": request_id, "ok": True}, **body})

    assert before.read_answer(answer(before)) == key
    assert now.read_answer(answer(before)) is None
    with pytest.raises(NotGenuine):
        now.read_answer(answer(now))
    for other in (b"", b"no JSON", b"{}", b'{"$":{"id":7,"ok":true}}'):
        assert now.read_answer(other) is None


async def test_an_enrolment_that_was_broken_off_is_taken_up_again(
    config: Config, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The claim is spent, the answer was lost: the same key pair gets the same key."""
    file = tmp_path / "lamp.key"
    aside = aside_of(file)
    async with running_bridge(config) as bridge:
        claim = await give_claim(bridge, now_us())
    with pytest.raises(NotAnswered):
        # Nobody is there; the request waits in the bridge's session, and spends the claim later.
        await asyncio.to_thread(asking(mosquitto, claim, key_file=file, timeout_s=1.0))
    assert aside.stat().st_mode & 0o777 == 0o600
    private_key = read_private(aside)["private_key"]
    async with running_bridge(config) as bridge:
        key = await asyncio.to_thread(asking(mosquitto, claim, key_file=file))
        assert await keys_of(bridge) == [key.key_id]
        assert (await stored_claim(bridge, claim)).refused == 0
    assert isinstance(private_key, str)
    assert not aside.exists()
    assert read_device_key(file) == key


async def test_a_refusal_is_an_error_with_its_reason(
    config: Config, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A claim that another has used; no file is left of an attempt that has come to its end."""
    file = tmp_path / "lamp.key"
    async with running_bridge(config) as bridge:
        claim = await give_claim(bridge, now_us())
        await asyncio.to_thread(asking(mosquitto, claim))
        with pytest.raises(Refused) as refused:
            await asyncio.to_thread(asking(mosquitto, claim, key_file=file))
    assert (refused.value.code, refused.value.error) == (409, "claim_used")
    assert not file.exists()
    assert not aside_of(file).exists()


async def test_a_refusal_that_may_pass_leaves_the_attempt_to_be_taken_up(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """As a timeout does."""
    claim = Claim.make(Kem.X25519, public_signing_key(bytes(32)))
    file = tmp_path / "lamp.key"

    async def refuse() -> None:
        head = {"id": (await client.next(ENROL))["$"]["id"], "ok": False, "code": 429}
        await client.publish(KEY, {"$": {**head, "error": "too_fast", "message": "later"}})

    async with connected_client(mosquitto, ENROL) as client:
        refusing = asyncio.create_task(refuse())
        with pytest.raises(Refused, match="too_fast"):
            await asyncio.to_thread(asking(mosquitto, claim, key_file=file, timeout_s=3.0))
        await refusing
    assert aside_of(file).exists()


async def test_a_broker_that_is_away_is_named(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """Not only that nothing came; at once in the log, once, and at the end as the error."""
    mosquitto.stop()
    claim = Claim.make(Kem.X25519, bytes(32))
    with pytest.raises(NotAnswered, match=str(mosquitto.port)):
        await asyncio.to_thread(asking(mosquitto, claim, timeout_s=2.0))
    (said,) = [record.getMessage() for record in caplog.records]
    assert str(mosquitto.port) in said
    assert "trying again" in said


@pytest.mark.parametrize(
    ("device", "claim"), [("lamp/1", "sbe_"), ("lamp-1", "sbe_AAAA"), ("lamp-1", "")]
)
def test_a_claim_that_was_not_copied_whole_is_said_so(device: str, claim: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=r"claim|device id"):
        enrol(device, claim)


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Replaced in one step, and not read where others may."""
    file = tmp_path / "lamp.key"
    file.write_text("something else")
    key = DeviceKey("lamp-1", 7, Algorithm.CHACHA20_POLY1305, bytes(range(32)))
    write_device_key(file, key)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_device_key(file) == key
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="others than its owner"):
        read_private(file)
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_private(tmp_path / "missing")
    with pytest.raises(KeyFileError, match="cannot be written"):
        write_private(tmp_path / "missing" / "file", {})
