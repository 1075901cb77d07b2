"""Twins whose publish the broker has refused."""

from __future__ import annotations

import pytest

from bridge.core.topics import TwinKey
from bridge.service import refused_twins
from bridge.service.refused_twins import RefusedTwins
from bridge.service.twin_publication import TwinPublication


def _publication(device: str, size_bytes: int = 10) -> TwinPublication:
    return TwinPublication(TwinKey(device), 1, b"x" * size_bytes, None, False, False, 1)


def test_they_are_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no place is left out, and room that is made is used again."""
    monkeypatch.setattr(refused_twins, "REFUSED_TWINS", 2)
    monkeypatch.setattr(refused_twins, "REFUSED_BYTES", 25)
    refused = RefusedTwins()
    refused.add(_publication("a", 20))
    refused.add(_publication("b", 6))
    assert len(refused) == 1
    refused.add(_publication("a", 5))
    refused.add(_publication("b", 20))
    refused.add(_publication("c", 0))

    assert [publication.key.device for publication in refused.some()] == ["a", "b"]

    assert refused.pop(TwinKey("b")) is not None
    assert refused.pop(TwinKey("b")) is None
    refused.add(_publication("c", 20))
    assert len(refused) == 2


def test_some_are_offered_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have waited longest."""
    monkeypatch.setattr(refused_twins, "RETRIED_TWINS", 2)
    refused = RefusedTwins()
    for device in "abc":
        refused.add(_publication(device))

    assert [publication.key.device for publication in refused.some()] == ["a", "b"]
