"""What the HTTP API needs of a running bridge."""

from __future__ import annotations

from typing import Protocol

from bridge.api.administration import Administration
from bridge.core.limits import Limits
from bridge.core.orders import Order
from bridge.core.permissions import Permissions
from bridge.core.reconcile import Outcome
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.http.hub import Hub
from bridge.store.audit import AuditRow


class Backend(Administration, Protocol):
    """The holder of a store that the API shows, such as a running bridge."""

    @property
    def permissions(self) -> Permissions | None:
        """Who may do what; None where everyone may do everything."""

    @property
    def limits(self) -> Limits:
        """Bounds on what is sent."""

    @property
    def grammar(self) -> TopicGrammar:
        """The topics, by which quarantined messages belong to twins."""

    @property
    def hub(self) -> Hub:
        """What was committed, and who wants to hear of it."""

    @property
    def is_connected(self) -> bool:
        """The connection to the broker stands."""

    def now_us(self) -> int:
        """Return the bridge's time, in µs since the epoch."""

    async def write(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Carry out what a client asks for, held against the permissions.

        Args:
            key: The twin.
            order: What to do.
            act: What the audit trail is to tell of it, in the same transaction; its outcome is
                filled in.

        Returns:
            What came of it, perhaps a refusal; it is on the disk.

        Raises:
            StoreError: Nothing took effect.
        """
