"""Patches for Hypothesis: few keys, so that they meet often."""

from __future__ import annotations

from hypothesis import strategies as st

from bridge.device import JsonObject, JsonValue

_KEYS = st.sampled_from(["a", "b", "c"])
_LEAVES: st.SearchStrategy[JsonValue] = st.sampled_from(
    [None, 0, 1, True, 0.5, "x", [], [{"a": 1}]]
)


def patches() -> st.SearchStrategy[JsonObject]:
    """Merge patches of up to three levels."""
    values = st.recursive(
        _LEAVES, lambda inner: st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
    )
    return st.dictionaries(_KEYS, values, max_size=3)
