"""Claims, and devices that ask with them, without the device library's connection."""

from __future__ import annotations

import orjson

from bridge.device.enrolment import Enrolment
from bridge.security.claim import Claim
from bridge.security.enrolment import EnrolRequest, Place
from bridge.security.frame import Algorithm
from bridge.security.mechanism import Kem
from bridge.security.sealing import DeviceKey
from bridge.service import Bridge
from bridge.store.base import Store
from bridge.store.claims import StoredClaim
from tests.support.bridge import Client

ENROL = "sync/lamp-1/enrol"
KEY = "sync/lamp-1/key"
HOUR_US = 3_600_000_000


async def give_claim(
    bridge: Bridge,
    now: int,
    device: str = "lamp-1",
    kem: Kem = Kem.X25519,
    algorithm: Algorithm = Algorithm.AES_256_GCM,
) -> Claim:
    """Make a claim for an hour, as administration does."""

    def make(store: Store) -> Claim:
        identity = store.claims.identity()
        assert identity is not None
        claim = Claim.make(kem, identity.public_key)
        name = claim.claim_id.hex()
        row = StoredClaim(name, device, kem, algorithm, claim.public_key, now, now + HOUR_US)
        assert store.claims.add(row)
        return claim

    return await bridge.run_store(make)


async def stored_claim(bridge: Bridge, claim: Claim) -> StoredClaim:
    """What the store has of a claim."""
    row = await bridge.run_store(lambda store: store.claims.find(claim.claim_id.hex()))
    assert row is not None
    return row


async def keys_of(bridge: Bridge, device: str = "lamp-1") -> list[int]:
    """The ids of a device's keys, the newest first."""
    rows = await bridge.run_store(lambda store: store.device_keys.of_device(device))
    return [row.key_id for row in rows]


async def enrol(client: Client, enrolment: Enrolment) -> DeviceKey:
    """Ask for a key, and open the answer."""
    request = enrolment.request
    await client.publish(request.topic, request.payload)
    while True:
        payload = (await client.next_message(enrolment.reply_topic)).payload
        assert isinstance(payload, bytes)
        key = enrolment.read_answer(payload)
        if key is not None:
            return key


async def refused(
    client: Client, claim: Claim, body: dict[str, str], device: str = "lamp-1"
) -> tuple[int, str]:
    """Ask with a body, and return code and error of the refusal, which must come."""
    payload = orjson.dumps({"$": {"id": claim.claim_id.hex()}, **body})
    await client.publish(f"sync/{device}/enrol", payload)
    while True:
        head = (await client.next(f"sync/{device}/key"))["$"]
        if head.get("id") == claim.claim_id.hex():
            assert head["ok"] is False, head
            return head["code"], head["error"]


def signed(claim: Claim, private_key: bytes, device: str = "lamp-1") -> dict[str, str]:
    """The body of a request that is signed as it should be."""
    return EnrolRequest.make(Place(device, f"sync/{device}/enrol"), claim, private_key).body
