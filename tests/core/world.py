"""A twin, and a clock, for the tests of reconciling."""

from __future__ import annotations

import json
from typing import Any

from bridge.core.limits import Limits
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.reconcile import Outcome, reconcile
from bridge.core.refusal import Refusal
from bridge.core.section import Node, Register
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Delivery, Metadata, SectionName, Update

NOW = 1_795_000_000_000_000
SECOND = 1_000_000


class World:
    """A twin, and a clock that each message advances by a second."""

    def __init__(
        self, limits: Limits | None = None, policies: dict[str, str] | None = None
    ) -> None:
        self.limits = limits or Limits()
        table = Policies.parse({"*": policies}, self.limits) if policies else NO_POLICIES
        self.twin = Twin(TwinKey("lamp-1"), table)
        self.clock = NOW

    def send(
        self,
        patch: dict[str, Any],
        *,
        section: SectionName = "reported",
        writer: str = "lamp-1",
        retained: bool = False,
        repeated: bool = False,
        packet_id: int = 0,
        refusal: Refusal | None = None,
        **metadata: Any,
    ) -> Outcome:
        """Reconcile an update; its payload is the patch and its metadata as JSON."""
        self.clock += SECOND
        if "seq" in metadata:
            metadata.setdefault("boot", 0)
        payload = json.dumps([patch, metadata], default=str).encode()
        update = Update(
            self.twin.key,
            section,
            writer,
            patch,
            Metadata(**metadata),
            payload,
            Delivery(packet_id, repeated, retained),
            len(payload),
            refusal,
        )
        return reconcile(self.twin, update, self.clock, self.limits)

    def desire(self, patch: dict[str, Any], writer: str = "app", **metadata: Any) -> Outcome:
        """Reconcile an update of `desired`."""
        return self.send(patch, section="desired", writer=writer, **metadata)

    @property
    def desired(self) -> dict[str, Any]:
        """What is visible of `desired`."""
        return self.twin.desired.value

    @property
    def reported(self) -> dict[str, Any]:
        """What is visible of `reported`."""
        return self.twin.reported.value


def register_at(world: World, *path: str) -> Register:
    """Return the register at a path of `desired`."""
    children = world.twin.desired.nodes
    for name in path[:-1]:
        node = children[name]
        assert isinstance(node, Node)
        children = node.children
    child = children[path[-1]]
    register = child if isinstance(child, tuple) else child.register
    assert register is not None
    return register
