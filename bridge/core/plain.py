"""The commonest message, in a fraction of the time: a report that says nothing but values.

A report without `$`, of fields that hold plain values, is newer than everything that the twin
remembers: it is stamped with the twin's `now`, which no stamp has reached. So there is nothing to
compare, to contest or to hide, and all that `bridge.core.reconcile` does for it fits into one
function. Whatever is not as simple as that is left to it, and nothing has changed then.
"""

from __future__ import annotations

from typing import Literal

from bridge.core.bounds import JSON_BYTES_PER_PAYLOAD_BYTE, PAYLOAD_BYTES_PER_FIELD
from bridge.core.delivery_digest import delivery_digest
from bridge.core.limits import Limits
from bridge.core.reconcile import Change
from bridge.core.section import JsonObject
from bridge.core.twin import Twin


def report_plainly(
    twin: Twin, patch: JsonObject, payload: bytes, packet_id: int, clock: int, limits: Limits
) -> Change | Literal["unchanged"] | None:
    """Merge a device's own report into its unnamed twin, as `reconcile` would.

    Args:
        twin: The twin, changed in place.
        patch: Numbers, texts and booleans by name, and nothing else.
        payload: As it arrived, without a wrapper.
        packet_id: MQTT's, of the first delivery of the message; 0 at QoS 0.
        clock: The bridge's clock, in µs since the epoch.
        limits: Bounds on the twin.

    Returns:
        The change that made a new version; or "unchanged" where nothing visible did; None where
        this is a case for `reconcile`.
    """
    section = twin.reported
    size_bytes = len(payload)
    bytes_at_most = twin.bytes_at_most + JSON_BYTES_PER_PAYLOAD_BYTE * size_bytes
    keys_at_most = twin.keys_at_most + size_bytes // PAYLOAD_BYTES_PER_FIELD
    if (
        not twin.exists
        or twin.online is False
        or section.rules is not None
        or section.tombstones
        or twin.desired.tombstones
        or bytes_at_most > limits.twin_bytes
        or keys_at_most > limits.keys
        or not patch
    ):
        return None
    value, nodes = section.value, section.nodes
    node_of = nodes.get
    forward: JsonObject = {}
    backward: JsonObject = {}
    confirmed = []
    for name, new in patch.items():
        node = node_of(name)
        if type(node) is tuple:
            old = value[name]
            if old == new and type(old) is type(new):
                confirmed.append(name)
            else:
                forward[name] = new
                backward[name] = old
        elif node is None:
            forward[name] = new
            backward[name] = None
        else:
            return None
    model = section.model
    if model is not None and forward and not model.fits({**value, **forward}):
        return None
    now = twin.now = clock if clock > twin.now else twin.now + 1
    writer = twin.key.device
    twin.last_seen = now
    twin.bytes_at_most = bytes_at_most
    twin.keys_at_most = keys_at_most
    for name in confirmed:
        node = nodes[name]
        nodes[name] = (now, writer, 0, now, node[4], node[5])  # type: ignore[index]
    if packet_id:
        twin.remember_delivery(delivery_digest("reported", writer, packet_id, payload))
    if not forward:
        return "unchanged"
    version = twin.version = section.version = twin.version + 1
    twin.at = now
    value.update(forward)
    nodes.update(dict.fromkeys(forward, (now, writer, 0, now, version, writer)))
    return Change(version, now, now, writer, "reported", forward, backward)
