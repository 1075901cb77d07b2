"""A section that has to fit a model: when it is asked, and what a refusal leaves behind."""

from __future__ import annotations

from typing import Any, Final

import pytest

from bridge.core.limits import Limits
from bridge.core.plain import report_plainly
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome, reconcile
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Metadata, Update

KEY: Final = TwinKey("lamp-1")
NOW: Final = 1_800_000_000_000_000
REFUSED: Final = Refusal(422, "schema_mismatch", "too much")


class AtMost:
    """A model: no member is above ten."""

    def fits(self, value: JsonObject) -> bool:
        """Tell whether a section fits."""
        return all(number <= 10 for number in value.values() if isinstance(number, int))

    def refusal(self, before: JsonObject, after: JsonObject) -> Refusal | None:
        """Refuse what does not fit, unless nothing did before."""
        return None if self.fits(after) or not self.fits(before) else REFUSED


@pytest.fixture
def twin() -> Twin:
    """One with a field, whose sections have to fit."""
    made = Twin(KEY, Policies.parse({"*": {"desired.total": "sum"}}, Limits()))
    assert written(made, {"a": 1}).changed
    made.reported.model = made.desired.model = AtMost()
    return made


def written(twin: Twin, patch: JsonObject, section: Any = "reported", **metadata: Any) -> Outcome:
    """Reconcile an update; of `desired` it is an application's."""
    writer = metadata.pop("writer", KEY.device)
    update = Update(KEY, section, writer, patch, Metadata(**metadata), repr(patch).encode())
    return reconcile(twin, update, NOW, Limits())


@pytest.mark.parametrize("full", [False, True])
def test_what_would_not_fit_changes_nothing(twin: Twin, full: bool) -> None:
    """Also of what would have."""
    before = twin.document()
    outcome = written(twin, {"a": 2, "b": 11}, full=full)
    assert (outcome.refusal, outcome.changed, outcome.store) == (REFUSED, False, False)
    assert twin.document() == before
    assert written(twin, {"a": 2, "b": 10}, full=full).changed


def test_a_refused_message_counts_as_received(twin: Twin) -> None:
    """Its repeat is refused alike, though it would fit by then."""
    assert written(twin, {"b": 11}, boot="b", seq=1).refusal == REFUSED
    twin.reported.model = None
    repeat = written(twin, {"b": 11}, boot="b", seq=1)
    assert (repeat.duplicate, repeat.refusal) == (True, REFUSED)


def test_what_is_superseded_is_not_refused(twin: Twin) -> None:
    """It is the merged section that has to fit."""
    outcome = written(twin, {"a": 11}, time=1_700_000_000_000_000)
    assert (outcome.refusal, outcome.superseded) == (None, True)


def test_what_a_policy_makes_of_an_update_has_to_fit(twin: Twin) -> None:
    """Each total would, but not their sum."""
    assert written(twin, {"total": 6}, "desired", writer="anna").changed
    assert written(twin, {"total": 6}, "desired", writer="bert").refusal == REFUSED
    assert written(twin, {"total": 4}, "desired", writer="bert").changed
    assert twin.desired.value == {"total": 10}


@pytest.mark.parametrize(
    ("patch", "taken"), [({"a": 10}, True), ({"a": 11}, False), ({"b": 11, "a": 1}, False)]
)
def test_the_short_way_leaves_to_the_long_one_what_does_not_fit(
    twin: Twin, patch: JsonObject, taken: bool
) -> None:
    """And has changed nothing by then."""
    before = twin.document()
    change = report_plainly(twin, patch, b"{}", 1, NOW, Limits())
    assert (change is not None) == taken
    assert taken or twin.document() == before


def test_a_section_that_stays_as_it_is_is_not_asked_about(twin: Twin) -> None:
    """On the short way: a device that reports the same again."""
    twin.reported.value["a"] = 11
    assert report_plainly(twin, {"a": 11}, b"{}", 1, NOW, Limits()) == "unchanged"
