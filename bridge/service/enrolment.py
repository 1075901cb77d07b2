"""Answers devices that ask for their keys under a claim (docs/enrolment.md).

The claim is taken in the transaction that keeps the device's key, so that two devices that ask at
the same moment cannot both have one. What is answered is sealed before that: a public key that is
none spends no claim.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import orjson

from bridge import metrics
from bridge.config import Config
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.token_bucket import TokenBuckets
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.core.update import NO_METADATA
from bridge.errors import KeyWrappingError
from bridge.link.base import Message, Publication
from bridge.logs import RateLimited, get_logger
from bridge.security.claim import SIGNING_KEY_BYTES, public_signing_key
from bridge.security.enrolment import EnrolRequest, Grant, Place
from bridge.security.frame import Algorithm
from bridge.security.key_wrapping import new_device_key
from bridge.security.mechanism import Kem
from bridge.service.publisher import Publisher
from bridge.service.sealing import Sealing
from bridge.service.store_thread import StoreThread
from bridge.store.audit import AuditRow
from bridge.store.claims import StoredClaim, StoredIdentity, TakenClaim
from bridge.store.device_keys import DEVICE_KEYS_KEPT
from bridge.wire import outbound
from bridge.wire.inbound import Body, decode_body

REQUESTS_PER_S: Final = 1.0
"""For each device, and noted for each claim: a signature is checked for each, and perhaps a row
written. Whoever waits for an answer asks once in five seconds."""

REQUESTS_BURST: Final = 5

REMEMBERED: Final = 65_536
"""Devices, and claims, whose rate is remembered: some MB."""

_ATTEMPTS: Final = 5
"""How often a claim is looked at that somebody else takes, or ends, at the same moment."""

_log = get_logger("bridge.enrolment")


class Keeper(NamedTuple):
    """What a bridge needs that gives keys to devices.

    Attributes:
        sealing: Wraps the keys for the store, and takes over what was kept there.
        private_key: The bridge's identity key, which signs the answers.
        public_key: What devices know of it.
    """

    sealing: Sealing
    private_key: bytes
    public_key: bytes


class _Asked(NamedTuple):
    """A request, with all that is known of who asks."""

    place: Place
    request: EnrolRequest
    claim: StoredClaim

    @property
    def taken_by(self) -> bytes:
        return hashlib.sha256(self.request.public_key).digest()


class Enrolment:
    """Answers requests for keys.

    Args:
        config: All settings.
        keeper: The bridge's own keys, and those of devices.
        store: Where claims and keys are kept.
        publisher: Sends the answers.
        counters: What has happened.
        clock: The bridge's clock, in µs since the epoch.
        refusals: Log for what is refused.
    """

    def __init__(
        self,
        config: Config,
        keeper: Keeper,
        store: StoreThread,
        publisher: Publisher,
        counters: metrics.Counters,
        clock: Callable[[], int],
        refusals: RateLimited,
    ) -> None:
        self._limits = config.limits.to_core()
        self._grammar = TopicGrammar(config.prefix)
        self._keeper = keeper
        self._store = store
        self._publisher = publisher
        self._counters = counters
        self._clock = clock
        self._refusals = refusals
        self._of_devices = TokenBuckets(REQUESTS_PER_S, REQUESTS_BURST, REMEMBERED)
        self._noted = TokenBuckets(REQUESTS_PER_S, REQUESTS_BURST, REMEMBERED)

    async def answer(self, message: Message) -> None:
        """Answer one request, whatever it is; the answer waits for its turn to be sent.

        Raises:
            StoreError: Nothing took effect.
        """
        device = self._grammar.enrolling(message.topic)
        if device is None:
            raise ValueError(f"{message.topic!r} is not a topic of enrolment")
        place = Place(device, message.topic)
        body = decode_body(message.payload, self._limits)
        result = body.refusal or self._too_fast(device) or await self._grant(place, body)
        if isinstance(result, Refusal):
            self._refuse(place, message, body, result)
            return
        head: JsonObject = {"ok": True, "now": self._clock()}
        if body.metadata.request_id is not None:
            head = {"id": body.metadata.request_id, **head}
        self._reply(place, message, body, {"$": head, **result.body})

    def _too_fast(self, device: str) -> Refusal | None:
        if not self._of_devices.take(device, self._clock()):
            return None
        return Refusal(
            429, "too_fast", f"more than {REQUESTS_PER_S:g} request a second: ask again later"
        )

    async def _grant(self, place: Place, body: Body) -> Grant | Refusal:
        if body.metadata._replace(request_id=None) != NO_METADATA:
            return Refusal(400, "bad_enrolment", "enrol takes no other metadata than $.id")
        request = EnrolRequest.read(body.state)
        if isinstance(request, Refusal):
            return request
        claim_id = request.claim_id.hex()
        for _ in range(_ATTEMPTS):
            claim = await self._store.run(lambda store: store.claims.find(claim_id))
            if claim is None:
                return _not_valid()
            granted = await self._grant_under(_Asked(place, request, claim))
            if granted is not None:
                if isinstance(granted, Refusal):
                    await self._note(claim, granted)
                return granted
            # Somebody was faster: what is kept now says who.
        _log.error("a device's key cannot be kept", device=place.device, limit=DEVICE_KEYS_KEPT)
        return Refusal(503, "keys_full", "the bridge holds as many keys as it may")

    async def _grant_under(self, asked: _Asked) -> Grant | Refusal | None:
        refusal = _judge(asked, self._keeper.public_key, self._clock())
        if refusal is not None:
            return refusal
        if asked.claim.taken_at is None:
            granted = await self._grant_new(asked)
        else:
            granted = await self._grant_again(asked)
        if isinstance(granted, Grant):
            # Also for who asks again: the store may have been away when it was first tried.
            twins = await self._keeper.sealing.reload(asked.place.device)
            self._publisher.offer(twins, rebuild=True)
        return granted

    async def _grant_new(self, asked: _Asked) -> Grant | Refusal | None:
        """Make a key and take the claim; None where somebody else was faster."""
        device, claim, keeper = asked.place.device, asked.claim, self._keeper
        key_id = await self._store.run(lambda store: store.device_keys.next_id(device))
        key = new_device_key(device, key_id, Algorithm(claim.algorithm))
        try:
            grant = Grant.make(asked.place, Kem(claim.kem), asked.request, key, keeper.private_key)
        except ValueError:
            return Refusal(400, "bad_enrolment", "enrol: public_key is no public key")
        wrapped = keeper.sealing.keyring.wrapper.wrap(key)
        taking = TakenClaim(claim.id, asked.taken_by)
        now = self._clock()
        details = orjson.dumps({"claim": claim.id, "key_id": key_id}).decode()
        act = AuditRow(now, "mqtt", device, "key.enrol", device, "done", details)
        kept = await self._store.run(
            lambda store: store.device_keys.install(
                device, key_id, key.algorithm, wrapped, now, taking, act
            )
        )
        if kept is None:
            return None
        _log.info(
            "a device has enrolled",
            device=device,
            claim=claim.id,
            key_id=key_id,
            mechanism=Kem(claim.kem).shown,
            state=kept.state,
        )
        return grant

    async def _grant_again(self, asked: _Asked) -> Grant | Refusal:
        """Seal the same key again for the same public key: the answer was lost."""
        device, key_id, keeper = asked.place.device, asked.claim.key_id, self._keeper
        row = None
        if key_id is not None:
            number = key_id
            row = await self._store.run(lambda store: store.device_keys.find(device, number))
        if row is None or row.state == "revoked":
            return Refusal(
                409, "claim_used", "the key of this claim is not valid any more: get a new claim"
            )
        try:
            key = keeper.sealing.keyring.wrapper.unwrap(
                device, row.key_id, row.algorithm, row.wrapped
            )
        except KeyWrappingError as error:
            _log.error("a device's key cannot be unwrapped", reason=error.message, hint=error.hint)
            return Refusal(503, "keys_unreadable", "the bridge cannot read its keys now")
        return Grant.make(asked.place, Kem(asked.claim.kem), asked.request, key, keeper.private_key)

    async def _note(self, claim: StoredClaim, refusal: Refusal) -> None:
        """Let the operator see a refusal at its claim; not each one of a flood."""
        now = self._clock()
        if not self._noted.take(claim.id, now):
            await self._store.run(
                lambda store: store.claims.note_refusal(claim.id, refusal.error, now)
            )

    def _refuse(self, place: Place, message: Message, body: Body, refusal: Refusal) -> None:
        self._counters.add(metrics.UPDATES_REFUSED, refusal.error)
        claim = body.state.get("claim")
        self._refusals.warning(
            "an enrolment was refused",
            place.device,
            code=refusal.code,
            error=refusal.error,
            reason=refusal.message,
            # Whatever stands there: the log escapes it, and a claim's id is no secret.
            claim=claim[:16] if isinstance(claim, str) else None,
        )
        self._reply(
            place, message, body, outbound.refusal_answer(refusal, body.metadata.request_id)
        )

    def _reply(self, place: Place, message: Message, body: Body, answer: JsonObject) -> None:
        topic = self._grammar.topic(TwinKey(place.device), "key")
        if message.response_topic not in (None, topic):
            # Followed, it would let a client aim the bridge at any topic.
            self._counters.add(metrics.RESPONSE_TOPICS_IGNORED)
        self._publisher.reply(
            Publication(
                topic,
                outbound.encode(answer, body.encoding),
                content_type=outbound.CONTENT_TYPES[body.encoding],
                correlation_data=message.correlation_data,
            )
        )


async def make_enrolment(
    config: Config,
    sealing: Sealing | None,
    store: StoreThread,
    publisher: Publisher,
    counters: metrics.Counters,
    clock: Callable[[], int],
) -> Enrolment | None:
    """Return what answers devices; None where there is nothing to wrap their keys with.

    The bridge's identity is made where there is none yet.

    Raises:
        KeyWrappingError: The wrapping key is not the one that the bridge's identity was wrapped
            with.
        StoreError: The identity cannot be read or kept.
    """
    if sealing is None:
        return None
    wrapper = sealing.keyring.wrapper
    identity = await store.run(lambda held: held.claims.identity())
    if identity is None:
        private_key = secrets.token_bytes(SIGNING_KEY_BYTES)
        public_key = public_signing_key(private_key)
        wrapped = wrapper.wrap_identity(private_key, public_key)
        made = StoredIdentity(public_key, wrapped, clock())
        identity = await store.run(lambda held: held.claims.keep_identity(made))
        _log.info("the bridge has an identity now", public_key=identity.public_key.hex())
    private_key = wrapper.unwrap_identity(identity.wrapped, identity.public_key)
    keeper = Keeper(sealing, private_key, identity.public_key)
    return Enrolment(
        config, keeper, store, publisher, counters, clock, RateLimited(_log, time.monotonic)
    )


def _judge(asked: _Asked, identity: bytes, now: int) -> Refusal | None:
    """Say why a request is refused whose claim is known, or None."""
    place, request, claim = asked
    kem = Kem(claim.kem)
    if not request.is_signed(place, kem, identity, claim.public_key):
        return _not_valid()
    # From here on whoever asks has the claim, and is told the truth about it.
    if claim.device != place.device:
        return Refusal(
            403, "claim_of_another_device", f"this claim is not for {place.device}: get its own"
        )
    if len(request.public_key) != kem.public_key_bytes:
        return Refusal(400, "bad_enrolment", f"enrol: this claim takes a public key of {kem.shown}")
    if claim.withdrawn_at is not None:
        return Refusal(403, "claim_withdrawn", "this claim was withdrawn: get a new one")
    if claim.taken_at is not None and claim.taken_by != asked.taken_by:
        return Refusal(
            409,
            "claim_used",
            "a device has enrolled with this claim and another public key: if that was not this "
            "device, have its key revoked; then get a new claim",
        )
    if claim.expires_at <= now:
        return Refusal(403, "claim_expired", "the time of this claim is over: get a new one")
    return None


def _not_valid() -> Refusal:
    return Refusal(
        401,
        "claim_not_valid",
        "there is no such claim, or the request was not signed with it: for this device, on this "
        "topic, and for this bridge",
    )
