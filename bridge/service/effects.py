"""What one batch brings about, gathered while its messages are reconciled one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import orjson

from bridge.core.conflict import Conflict
from bridge.core.orders import ForgetWriter, Order
from bridge.core.reconcile import Change, Outcome
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import InboundTopic, TwinKey
from bridge.core.update import SectionName
from bridge.link.base import Message, Publication
from bridge.service.cached_twin import CachedTwin
from bridge.store.audit import AuditRow
from bridge.store.base import CommitBatch, ConflictRow, HistoryBlock, StoredTwin
from bridge.store.codec import encode_internals
from bridge.store.fleet_changes import TargetNote
from bridge.store.history_codec import block_of, encode_change
from bridge.store.quarantined import QuarantinedMessage
from bridge.store.sealed_windows import SealedPlace, SealedWindow
from bridge.wire import outbound
from bridge.wire.wrappers import is_sealed

QUARANTINED_TOPIC_CHARACTERS: Final = 1024
"""Characters of a topic that are kept: more than any of the grammar has."""


class TwinChange:
    """What happened to one twin in a batch.

    Attributes:
        cached: The twin.
        publish: It has a new version.
        publish_delta: Its delta's `state` differs from the last commit's.
        cleared: It was deleted in this batch, whatever came afterwards: its presence goes.
        history: Its changes in this batch, encoded.
    """

    __slots__ = ("cached", "cleared", "history", "publish", "publish_delta")

    def __init__(self, cached: CachedTwin) -> None:
        self.cached = cached
        self.publish = False
        self.publish_delta = False
        self.cleared = False
        self.history: list[bytes] = []


class Effects:
    """To be committed, published and answered."""

    def __init__(self) -> None:
        # By identity: a batch has one object for each twin, and a key takes longer to look up.
        self._twins: dict[CachedTwin, TwinChange] = {}
        self.replies: list[Publication] = []
        self.events: list[Publication] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.conflicts: list[ConflictRow] = []
        self.quarantined: list[QuarantinedMessage] = []
        self.windows: Sequence[SealedWindow] = ()
        self.proven: dict[tuple[str, int], int] = {}
        self.acts: list[AuditRow] = []
        self.targets: list[TargetNote] = []

    def changed(self, cached: CachedTwin, *, version: bool, clear: bool) -> None:
        """Note that a twin must be stored, and with a new version published too."""
        change = self._twins.get(cached)
        if change is None:
            change = self._twins[cached] = TwinChange(cached)
        if version:
            change.publish = True
        if clear:
            change.cleared = True

    @property
    def twins(self) -> Collection[TwinChange]:
        """What happened to each twin."""
        return self._twins.values()

    def remember(self, cached: CachedTwin, change: Change) -> None:
        """Add a change to the history of a twin, of which it is noted that it has changed."""
        self._twins[cached].history.append(encode_change(change))

    def remember_conflicts(
        self,
        key: TwinKey,
        section: SectionName,
        conflicts: Iterable[Conflict],
        *,
        version: int,
        at: int,
    ) -> None:
        """Add what a message has lost, or made others lose, to the conflict log.

        Args:
            key: The twin.
            section: The section that the message is for.
            conflicts: What the core has found.
            version: The twin's version after the message.
            at: The bridge's time of the message, in µs.
        """
        self.conflicts += [
            ConflictRow(
                key,
                version,
                at,
                section,
                orjson.dumps(conflict.path),
                conflict.policy,
                orjson.dumps(conflict.kept),
                conflict.kept_by,
                conflict.kept_stamp,
                orjson.dumps(conflict.lost),
                conflict.lost_by,
                conflict.lost_stamp,
            )
            for conflict in conflicts
        ]

    def prove(self, place: SealedPlace, at: int) -> None:
        """Note that a device has used a new key; `at` in µs since the epoch."""
        self.proven[place.device, place.key_id] = at

    def acted(self, act: AuditRow, order: Order, outcome: Outcome) -> None:
        """Tell the audit trail of an act, and what came of it."""
        refusal = outcome.refusal
        # To forget a writer makes no version.
        is_done = outcome.changed or (isinstance(order, ForgetWriter) and outcome.store)
        if refusal is not None:
            result = f"refused {refusal.code} {refusal.error}"
        else:
            result = "done" if is_done else "unchanged"
        self.acts.append(act._replace(outcome=result))

    def quarantine(
        self,
        message: Message,
        refusal: Refusal,
        at: int,
        topic: InboundTopic | None = None,
        *,
        secret: bool = False,
    ) -> None:
        """Keep a refused message that cannot be answered.

        Args:
            message: The message.
            refusal: Why it was refused.
            at: When, in µs since the epoch.
            topic: Its topic, parsed; None where it is none of ours.
            secret: Its payload must not be kept, as that of a device which has to seal.
        """
        payload, withheld = message.payload, ""
        if secret or is_sealed(payload):
            payload, withheld = b"", "sealed" if is_sealed(payload) else "secret"
        self.quarantined.append(
            QuarantinedMessage(
                at,
                message.topic[:QUARANTINED_TOPIC_CHARACTERS],
                payload,
                *refusal,
                size_bytes=len(message.payload),
                device="" if topic is None else topic.key.device,
                writer="" if topic is None else topic.sender,
                withheld=withheld,
            )
        )

    def encode(self) -> CommitBatch:
        """Encode every touched twin once, at its latest version."""
        rows = [_stored(change) for change in self.twins]
        history = [_block(change) for change in self.twins if change.history]
        return CommitBatch(
            rows,
            history,
            self.quarantined,
            conflicts=self.conflicts,
            windows=self.windows,
            proven_keys=[(*key, at) for key, at in self.proven.items()],
            acts=self.acts,
            targets=self.targets,
        )


def _stored(change: TwinChange) -> StoredTwin:
    cached = change.cached
    twin = cached.twin
    # Also without a new version: the memory is encoded against this very state.
    cached.let_go()
    if change.publish:
        _encode_documents(change)
    state = cached.state
    internals = encode_internals(twin)
    cached.keep(state, internals)
    return StoredTwin(
        twin.key,
        cached.revision + 1,
        twin.version,
        0,  # of a new twin; of others it is the store's
        twin.exists,
        twin.at,
        state,
        cached.delta,
        internals,
    )


def _block(change: TwinChange) -> HistoryBlock:
    twin = change.cached.twin
    return block_of(twin.key, twin.at, change.history)


def _encode_documents(change: TwinChange) -> None:
    cached = change.cached
    twin = cached.twin
    delta: JsonObject = {}
    if twin.exists:
        twin.bytes_at_most = len(cached.state)
        twin.keys_at_most = cached.state.count(b":")
        delta = twin.delta()
    if not delta and cached.delta is None:
        return
    if not cached.has_delta(orjson.dumps(delta)):
        change.publish_delta = True
        cached.delta = outbound.delta_json(twin, delta) if delta else None
