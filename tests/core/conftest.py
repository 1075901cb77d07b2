"""The order of the tests where mutants are tried."""

from __future__ import annotations

import os

import pytest

from tests.support.examples import PERCENT_VARIABLE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the properties last: a mutant is done for with the first test that fails."""
    if PERCENT_VARIABLE in os.environ:
        items.sort(key=_is_property)


def _is_property(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "function", None), "hypothesis")
