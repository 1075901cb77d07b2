"""The settings of a link."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.link.base import LinkSettings

_GOOD = LinkSettings("h", 1883, "bridge", (), username="u", password="secret")  # noqa: S106


def test_the_password_is_not_shown() -> None:
    """Settings end up in logs and tracebacks."""
    assert "secret" not in repr(_GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"host": ""},
        {"client_id": ""},
        {"port": 0},
        {"port": 65_536},
        {"keepalive_s": 0},
        {"session_expiry_s": 2**32 - 1},
        {"receive_maximum": 0},
        {"publish_window": 65_535},
        {"maximum_packet_bytes": 0},
        {"backoff_min_s": 0.0},
        {"backoff_min_s": 2.0, "backoff_max_s": 1.0},
    ],
)
def test_settings_that_mqtt_does_not_allow_are_refused(change: dict[str, Any]) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(_GOOD, **change)
