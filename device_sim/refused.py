"""Why a connection to the broker did not come about, in the words of the simulator's options."""

from __future__ import annotations

import ssl

from bridge.errors import ConnectRefused
from bridge.link.transport_reasons import tls_failed
from device_sim.broker import Broker

_OPTIONS = {
    ", or into broker.server_name where the broker is reached under a different one": "",
    "broker.ca_file": "--ca",
    "broker.certificate_file": "--cert",
    "broker.key_file": "--key",
    "broker.url": "--broker",
}


def unreachable(broker: Broker, error: OSError) -> ConnectRefused:
    """Return the error for a connection that failed before the broker was asked."""
    if isinstance(error, ssl.SSLError):
        found = tls_failed(str(broker), error)
        hint = found.hint
        for setting, option in _OPTIONS.items():
            hint = hint.replace(setting, option)
        return ConnectRefused(found.message, hint=hint)
    is_refused = isinstance(error, ConnectionRefusedError)
    reason = "Connection refused" if is_refused else error.strerror or str(error)
    return ConnectRefused(
        f"no broker at {broker}: {reason}",
        hint="start one, or name another with --broker mqtt://host:port",
    )
