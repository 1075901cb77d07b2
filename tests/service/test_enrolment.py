"""Devices that ask for their keys: a real bridge, a real broker, and all that may go wrong."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgpack
import orjson
import pytest
import structlog

from bridge.config import Config
from bridge.device.enrolment import Enrolment
from bridge.errors import KeyWrappingError, Refused
from bridge.security.claim import Claim
from bridge.security.enrolment import EnrolRequest, Place
from bridge.security.frame import Algorithm
from bridge.security.kem import public_key_of
from bridge.security.layout import to_base64url
from bridge.security.mechanism import Kem
from bridge.service import Bridge
from bridge.service.clock import now_us
from bridge.service.enrolment import REQUESTS_BURST
from tests.security.second_enrolment import sign_request
from tests.support.bridge import WAIT_S, Client, connected_client, make_config, running_bridge
from tests.support.enrolled import (
    ENROL,
    HOUR_US,
    KEY,
    enrol,
    give_claim,
    keys_of,
    refused,
    signed,
    stored_claim,
)
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import SealedClient, sealing_config


class World:
    """A bridge whose clock stands where it is put, and a client of its broker.

    Attributes:
        bridge: The bridge.
        client: Hears everything.
        now: The bridge's time, in µs.
    """

    def __init__(self, config: Config) -> None:
        self.now = now_us()
        self.bridge = Bridge(config, clock=lambda: self.now)
        self.client: Client

    async def claim(self, device: str = "lamp-1", kem: Kem = Kem.X25519) -> Claim:
        """A new claim for an hour."""
        return await give_claim(self.bridge, self.now, device, kem)

    async def refused(
        self, claim: Claim, private_key: bytes | None = None, device: str = "lamp-1"
    ) -> tuple[int, str]:
        """Ask with a claim, and return why that is refused."""
        # One request a second and device is answered: the next one comes later.
        self.now += 1_000_000
        body = signed(claim, private_key or secrets.token_bytes(32), device)
        return await refused(self.client, claim, body, device)


@asynccontextmanager
async def started(config: Config, broker: Mosquitto) -> AsyncIterator[World]:
    """A bridge and a client."""
    world = World(config)
    hears = connected_client(broker, "sync/+/key", "sync/+/reply/+")
    async with hears as world.client, world.bridge:
        async with asyncio.timeout(WAIT_S):
            await world.bridge.wait_until_connected()
        yield world


@pytest.fixture
def config(mosquitto: Mosquitto, tmp_path: Path) -> Config:
    """Of a bridge that gives keys."""
    return sealing_config(mosquitto, tmp_path)


@pytest.fixture
async def world(config: Config, mosquitto: Mosquitto) -> AsyncIterator[World]:
    """A bridge that gives keys."""
    async with started(config, mosquitto) as it:
        yield it


@pytest.mark.parametrize("kem", list(Kem))
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_device_enrols_and_seals_with_its_key(
    world: World, kem: Kem, algorithm: Algorithm
) -> None:
    """By either mechanism; from then on both sides understand each other, and nobody else."""
    claim = await give_claim(world.bridge, world.now, kem=kem, algorithm=algorithm)
    key = await enrol(world.client, Enrolment("lamp-1", claim.text))
    assert (key.device, key.key_id, key.algorithm) == ("lamp-1", 1, algorithm)
    lamp = SealedClient(world.client, key)
    await lamp.publish("sync/lamp-1/report", {"on": True, "$": {"id": "r1"}})
    answer = await lamp.answer("sync/lamp-1/reply/lamp-1")
    assert (answer["ok"], answer["version"]) == (True, 1)
    row = await stored_claim(world.bridge, claim)
    assert (row.taken_at, row.key_id, row.refused) == (world.now, 1, 0)
    [act] = await world.bridge.run_store(lambda store: store.audit(10))
    assert (act.at, act.via, act.who, act.act) == (world.now, "mqtt", "lamp-1", "key.enrol")
    assert (act.target, act.outcome) == ("lamp-1", "done")
    assert orjson.loads(act.details) == {"claim": row.id, "key_id": 1}


async def test_a_claim_is_good_once(world: World) -> None:
    """Another key pair is refused; the operator sees that somebody has tried."""
    claim = await world.claim()
    await enrol(world.client, Enrolment("lamp-1", claim.text))
    assert await world.refused(claim) == (409, "claim_used")
    row = await stored_claim(world.bridge, claim)
    assert (row.refused, row.refusal, row.refused_at) == (1, "claim_used", world.now)
    assert await keys_of(world.bridge) == [1]


async def test_of_many_who_ask_at_once_one_is_answered(world: World) -> None:
    """The claim is taken together with the key."""
    claim = await world.claim()
    others = [Enrolment("lamp-1", claim.text) for _ in range(REQUESTS_BURST)]
    await asyncio.gather(*(world.client.publish(*each.request[:2]) for each in others))
    keys, errors = [], []
    while len(keys) + len(errors) < len(others):
        payload = (await world.client.next_message(KEY)).payload
        assert isinstance(payload, bytes)
        for each in others:
            try:
                key = each.read_answer(payload)
            except Refused as error:
                errors.append(error.error)
            else:
                keys += [] if key is None else [key]
    assert errors == ["claim_used"] * (len(others) - 1)
    assert [key.key_id for key in keys] == await keys_of(world.bridge) == [1]


async def test_a_lost_answer_is_given_again(
    config: Config, world: World, mosquitto: Mosquitto
) -> None:
    """The same key for the same key pair, also by a bridge that was started again."""
    claim = await world.claim()
    enrolment = Enrolment("lamp-1", claim.text)
    key = await enrol(world.client, enrolment)
    assert await enrol(world.client, enrolment) == key
    await world.bridge.__aexit__(None, None, None)
    async with started(config, mosquitto) as again:
        assert await enrol(again.client, enrolment) == key
        assert await keys_of(again.bridge) == [1]
        assert await again.refused(claim) == (409, "claim_used")


async def test_an_expired_claim_is_refused(world: World) -> None:
    """By the bridge's clock; also for who has used it in time."""
    claim, used = await world.claim(), await world.claim("lamp-2")
    enrolment = Enrolment("lamp-2", used.text)
    await enrol(world.client, enrolment)
    world.now += HOUR_US
    assert await world.refused(claim) == (403, "claim_expired")
    assert await world.refused(used, enrolment.private_key, "lamp-2") == (403, "claim_expired")
    assert await keys_of(world.bridge) == []
    assert (await stored_claim(world.bridge, claim)).refusal == "claim_expired"


async def test_a_claim_is_for_one_device(world: World) -> None:
    """Another one is told so; the claim is still there for its own."""
    claim = await world.claim()
    assert await world.refused(claim, device="lamp-2") == (403, "claim_of_another_device")
    assert await keys_of(world.bridge, "lamp-2") == []
    assert (await stored_claim(world.bridge, claim)).refusal == "claim_of_another_device"
    assert (await enrol(world.client, Enrolment("lamp-1", claim.text))).key_id == 1


async def test_a_withdrawn_claim_is_refused(world: World) -> None:
    """At once."""
    claim = await world.claim()
    name = claim.claim_id.hex()
    assert await world.bridge.run_store(lambda store: store.claims.withdraw(name, 1))
    assert await world.refused(claim) == (403, "claim_withdrawn")


async def test_a_claim_that_is_none_is_refused(world: World) -> None:
    """One that nobody has made, one whose id was read at the broker, one for another bridge."""
    claim = await world.claim()
    unknown = Claim.make(claim.kem, claim.identity)
    assert await world.refused(unknown) == (401, "claim_not_valid")
    assert await world.refused(unknown._replace(claim_id=claim.claim_id)) == (
        401,
        "claim_not_valid",
    )
    assert await world.refused(claim._replace(identity=bytes(32))) == (401, "claim_not_valid")
    row = await stored_claim(world.bridge, claim)
    assert (row.taken_at, row.refusal) == (None, "claim_not_valid")


async def test_a_public_key_that_was_changed_on_its_way_is_refused(world: World) -> None:
    """Whoever holds the broker gets no key, and spends no claim."""
    claim = await world.claim()
    mine = public_key_of(Kem.X25519, secrets.token_bytes(32))
    body = {**signed(claim, secrets.token_bytes(32)), "public_key": to_base64url(mine)}
    assert await refused(world.client, claim, body) == (401, "claim_not_valid")
    # The same request on another device's topic, as the broker could do it.
    body = signed(claim, secrets.token_bytes(32))
    assert await refused(world.client, claim, body, "lamp-2") == (401, "claim_not_valid")
    assert (await enrol(world.client, Enrolment("lamp-1", claim.text))).key_id == 1


async def test_a_public_key_that_is_none_spends_no_claim(world: World) -> None:
    """One of low order, or of the other mechanism: signed as it should be, and of no use."""
    claim = await world.claim()
    hybrid = public_key_of(Kem.MLKEM768_X25519, secrets.token_bytes(32))
    for public_key in (bytes(32), hybrid):
        request = _sign(claim, public_key)
        assert await refused(world.client, claim, request.body) == (400, "bad_enrolment")
    assert (await enrol(world.client, Enrolment("lamp-1", claim.text))).key_id == 1


def _sign(claim: Claim, public_key: bytes) -> EnrolRequest:
    place = Place("lamp-1", ENROL)
    signature = sign_request(
        *place, claim.claim_id, claim.kem, claim.secret, claim.identity, public_key
    )
    return EnrolRequest(claim.claim_id, public_key, signature)


async def test_a_key_that_was_revoked_is_not_given_again(world: World) -> None:
    """A stolen device does not come back by the claim that it still has."""
    claim = await world.claim()
    enrolment = Enrolment("lamp-1", claim.text)
    await enrol(world.client, enrolment)
    await world.bridge.run_store(lambda store: store.device_keys.revoke("lamp-1", None, 1))
    assert await world.refused(claim, enrolment.private_key) == (409, "claim_used")


async def test_a_device_that_enrols_again_keeps_its_key_until_it_uses_the_new_one(
    world: World,
) -> None:
    """A claim that is never used up locks nobody out."""
    old = await enrol(world.client, Enrolment("lamp-1", (await world.claim()).text))
    new = await enrol(world.client, Enrolment("lamp-1", (await world.claim()).text))
    assert (old.key_id, new.key_id) == (1, 2)
    for key, states in ((old, ["next", "active"]), (new, ["active", "retiring"])):
        lamp = SealedClient(world.client, key)
        await lamp.publish("sync/lamp-1/report", {"key": key.key_id})
        # What is answered behind it comes after it is on the disk.
        await world.client.publish("sync/lamp-1/get/app", b"{}")
        await world.client.next_message("sync/lamp-1/reply/app")
        rows = await world.bridge.run_store(lambda store: store.device_keys.of_device("lamp-1"))
        assert [row.state for row in rows] == states


async def test_who_asks_too_often_waits(world: World) -> None:
    """A flood costs its sender its own answers."""
    claim = await world.claim()
    for _ in range(REQUESTS_BURST):
        body = signed(claim._replace(secret=bytes(32)), bytes(32))
        assert await refused(world.client, claim, body) == (401, "claim_not_valid")
    body = signed(claim, bytes(32))
    assert await refused(world.client, claim, body) == (429, "too_fast")
    other = await world.claim("lamp-2")
    assert (await enrol(world.client, Enrolment("lamp-2", other.text))).key_id == 1


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", (400, "empty_payload")),
        (b"[]", (400, "not_an_object")),
        (b"{}", (400, "bad_enrolment")),
        (b"\x80", (400, "bad_enrolment")),
        (b'{"$":{"seq":1}}', (400, "bad_enrolment")),
        (b'{"$":{"x":1}}', (400, "unknown_metadata")),
    ],
)
async def test_what_is_no_request_is_answered(
    world: World, payload: bytes, expected: tuple[int, str]
) -> None:
    """In the encoding in which it came."""
    await world.client.publish(ENROL, payload)
    answer = (await world.client.next_message(KEY)).payload
    assert isinstance(answer, bytes)
    document = msgpack.unpackb(answer) if payload == b"\x80" else orjson.loads(answer)
    assert (document["$"]["code"], document["$"]["error"]) == expected


async def test_no_secret_is_logged(world: World) -> None:
    """Neither of a claim nor of a key, whether it is granted or refused."""
    with structlog.testing.capture_logs() as entries:
        claim = await world.claim()
        enrolment = Enrolment("lamp-1", claim.text)
        key = await enrol(world.client, enrolment)
        await world.refused(claim)
    text = str(entries)
    assert "a device has enrolled" in text
    assert "claim_used" in text
    for secret in (key.secret, claim.secret, enrolment.private_key):
        assert secret.hex() not in text
        assert to_base64url(secret) not in text
        assert repr(secret)[2:-1] not in text


async def test_a_bridge_without_a_wrapping_key_gives_none(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It does not even listen."""
    config = make_config(mosquitto, tmp_path)
    async with (
        running_bridge(config),
        connected_client(mosquitto, "sync/+/key", "sync/+/reply/+") as client,
    ):
        claim = Claim.make(Kem.X25519, bytes(32))
        await client.publish(*Enrolment("lamp-1", claim.text).request[:2])
        await client.publish("sync/lamp-1/get/app", b"{}")
        assert (await client.next_message()).topic.value == "sync/lamp-1/reply/app"


async def test_another_wrapping_key_is_refused_at_the_start(
    config: Config, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Devices could not know the bridge again."""
    async with started(config, mosquitto):
        pass
    (tmp_path / "wrapping.key").write_text(bytes(32).hex())
    with pytest.raises(KeyWrappingError, match="own key"):
        async with started(config, mosquitto):
            pass


async def test_the_identity_stays(config: Config, mosquitto: Mosquitto) -> None:
    """A claim of before a restart is good after it."""
    async with started(config, mosquitto) as world:
        claim = await world.claim()
    async with started(config, mosquitto) as again:
        assert (await enrol(again.client, Enrolment("lamp-1", claim.text))).key_id == 1
